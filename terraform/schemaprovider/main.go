// The schema provider stands for providers that cannot be had, so that
// `terraform validate` and `terraform test` with mock_provider run without the
// registry. As schemaprovider it makes a mirror of such providers, with what the
// given modules use of them:
//
//	schemaprovider -packages node_modules/@cdktf -mirror DIR MODULE...
//
// As terraform-provider-NAME, which Terraform starts, it serves the schema that
// lies beside it.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spotrelay/spotrelay/terraform/schemaprovider/schema"
	"github.com/spotrelay/spotrelay/terraform/schemaprovider/serve"
)

const schemaFile = "schema.json"

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "schemaprovider:", err)
		os.Exit(1)
	}
}

func run() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if strings.HasPrefix(filepath.Base(self), "terraform-provider-") {
		p, err := schema.Read(filepath.Join(filepath.Dir(self), schemaFile))
		if err != nil {
			return err
		}
		return serve.Serve(p)
	}
	packages := flag.String("packages", "", "the `FOLDER` with npm's provider-aws and so on")
	mirror := flag.String("mirror", "", "the `FOLDER` to write the mirror of providers to")
	flag.Parse()
	if *packages == "" || *mirror == "" || flag.NArg() == 0 {
		flag.Usage()
		return fmt.Errorf("-packages, -mirror and the folders of modules are wanted")
	}
	return makeMirror(self, *packages, *mirror, flag.Args())
}
