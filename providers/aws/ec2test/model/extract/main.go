// Command extract writes the extract of AWS's service models anew from an
// installed botocore (Debian: python3-botocore, or SPOTRELAY_BOTOCORE). Without
// one, or with another version than the extract was made from, it leaves what
// is there and says so; -update takes any version.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"

	"github.com/spotrelay/spotrelay/providers/aws/ec2test/model"
)

func main() {
	out := flag.String("o", "", "the file to write")
	update := flag.Bool("update", false, "take another version of botocore than before")
	flag.Parse()
	if err := run(*out, *update); err != nil {
		fmt.Fprintln(os.Stderr, "extract:", err)
		os.Exit(1)
	}
}

func run(out string, update bool) error {
	from, err := model.Installed()
	if errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(os.Stderr, "extract: no botocore in %s; %s stays as it is (apt install python3-botocore)\n", from, out)
		return nil
	}
	if err != nil {
		return err
	}
	m, err := model.Cut(from)
	if err != nil {
		return err
	}
	if before := model.Load(); !update && before.Version != m.Version {
		fmt.Fprintf(os.Stderr, "extract: botocore %s is installed, %s is of %s and stays as it is (-update takes it)\n", m.Version, out, before.Version)
		return nil
	}
	data, err := m.Encode()
	if err != nil {
		return err
	}
	return os.WriteFile(out, data, 0o644)
}
