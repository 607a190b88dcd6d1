package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/hashicorp/terraform-config-inspect/tfconfig"

	"github.com/spotrelay/spotrelay/terraform/schemaprovider/bindings"
)

// used is what modules use of one provider.
type used struct{ resources, data map[string]bool }

// makeMirror writes a provider for each that the modules require, in the layout
// of Terraform's filesystem_mirror, and says which.
func makeMirror(self, packages, mirror string, modules []string) error {
	wanted := map[string]*used{}
	for _, folder := range modules {
		if err := collect(wanted, folder); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		p, err := bindings.Open(filepath.Join(packages, "provider-"+name))
		if err != nil {
			return fmt.Errorf("the provider %s: %w", name, err)
		}
		s, err := p.Provider(slices.Sorted(maps.Keys(wanted[name].resources)), slices.Sorted(maps.Keys(wanted[name].data)))
		if err != nil {
			return fmt.Errorf("the provider %s: %w", name, err)
		}
		folder := filepath.Join(mirror, filepath.FromSlash(p.Source), p.Version, runtime.GOOS+"_"+runtime.GOARCH)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		if err := s.Write(filepath.Join(folder, schemaFile)); err != nil {
			return err
		}
		if err := copyProgram(self, filepath.Join(folder, "terraform-provider-"+name+"_v"+p.Version)); err != nil {
			return err
		}
		fmt.Printf("%s %s: %d resources, %d data sources\n", p.Source, p.Version, len(s.Resources), len(s.Data))
	}
	return nil
}

// collect adds what a module uses, by the providers' local names, which are
// those of the packages.
func collect(wanted map[string]*used, folder string) error {
	module, diagnostics := tfconfig.LoadModule(folder)
	if diagnostics.HasErrors() {
		return diagnostics.Err()
	}
	of := func(name string) *used {
		if wanted[name] == nil {
			wanted[name] = &used{map[string]bool{}, map[string]bool{}}
		}
		return wanted[name]
	}
	for name := range module.RequiredProviders {
		of(name)
	}
	for _, r := range module.ManagedResources {
		of(r.Provider.Name).resources[r.Type] = true
	}
	for _, r := range module.DataResources {
		of(r.Provider.Name).data[r.Type] = true
	}
	return nil
}

func copyProgram(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(target, source); err != nil {
		target.Close()
		return err
	}
	return target.Close()
}
