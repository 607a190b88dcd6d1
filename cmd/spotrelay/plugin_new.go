package main

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/spf13/cobra"
	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"

	"github.com/spotrelay/spotrelay/plugins"
)

//go:embed skeleton
var skeleton embed.FS

// ownModule is the module that a plugin imports.
const ownModule = "github.com/spotrelay/spotrelay"

type pluginNewFlags struct {
	dir, module, replace string
}

func (a *app) pluginNewCommand() *cobra.Command {
	var flags pluginNewFlags
	cmd := &cobra.Command{
		Use:   "new NAME",
		Short: "Write the skeleton of a provider plugin",
		Long: `Writes the skeleton of the provider NAME: a Go module of its own that compiles and
says in its README what is to be written, in which order. Until then its methods
fail with a message that says so, and plugin test names the points of the contract
that are not met.`,
		Example: `  spotrelay plugin new azure --module example.com/spotrelay-provider-azure
  spotrelay plugin new azure --replace ~/src/spotrelay`,
		Args: exact("NAME"),
		RunE: func(_ *cobra.Command, args []string) error { return a.newPlugin(args[0], flags) },
	}
	cmd.Flags().StringVar(&flags.dir, "dir", "", "the new `folder` (default ./spotrelay-provider-NAME)")
	cmd.Flags().StringVar(&flags.module, "module", "", "the Go module's `path` (default example.com/spotrelay-provider-NAME)")
	cmd.Flags().StringVar(&flags.replace, "replace", "", "build with spotrelay's source in this `folder`, not a released version")
	return cmd
}

// newPluginJSON is what plugin new --json prints.
type newPluginJSON struct {
	Version int      `json:"version"`
	Name    string   `json:"name"`
	Dir     string   `json:"dir"`
	Module  string   `json:"module"`
	Files   []string `json:"files"`
}

func (a *app) newPlugin(name string, flags pluginNewFlags) error {
	program := "spotrelay-provider-" + name
	made := newPluginJSON{Version: jsonVersion, Name: name, Dir: flags.dir, Module: flags.module}
	if made.Dir == "" {
		made.Dir = program
	}
	if made.Module == "" {
		made.Module = "example.com/" + program
	}
	if err := checkNewPlugin(made); err != nil {
		return err
	}
	files, err := skeletonFiles(name)
	if err != nil {
		return err
	}
	if err := addModule(files, made.Module, flags.replace); err != nil {
		return err
	}
	if err := os.MkdirAll(made.Dir, 0o755); err != nil {
		return wrongCall("", "%w", err)
	}
	for _, file := range sortedKeys(files) {
		if err := os.WriteFile(filepath.Join(made.Dir, file), files[file], 0o644); err != nil {
			return err
		}
		made.Files = append(made.Files, file)
	}
	if a.json {
		return a.printJSON(made)
	}
	tidy := ""
	if flags.replace == "" {
		tidy = "  go mod tidy\n"
	}
	fmt.Fprintf(a.stdout, "%s has the skeleton of the provider %s. Its README.md says what to write, in order.\n\n"+
		"  cd %s\n%s  go build -o %s\n  spotrelay plugin test ./%s --config fleet.json\n", made.Dir, name, made.Dir, tidy, program, program)
	return nil
}

func checkNewPlugin(made newPluginJSON) error {
	if !plugins.ValidName(made.Name) {
		return wrongCall("a name begins with a small letter and has small letters, digits and '-', at most 63", "%q is no name for a provider", made.Name)
	}
	if _, taken := builtin[made.Name]; taken {
		return wrongCall("choose another name: what is built in hides a plugin of the same name", "the provider %q is built in", made.Name)
	}
	if err := module.CheckImportPath(made.Module); err != nil {
		return wrongCall("write it as example.com/spotrelay-provider-"+made.Name, "--module: %w", err)
	}
	entries, err := os.ReadDir(made.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return wrongCall("name a folder that is new or empty with --dir", "%w", err)
	case len(entries) > 0:
		return wrongCall("name another folder with --dir", "the folder %s is not empty", made.Dir)
	}
	return nil
}

// skeletonFiles are the files of the skeleton but for go.mod and go.sum.
func skeletonFiles(name string) (map[string][]byte, error) {
	files := map[string][]byte{}
	all, err := template.ParseFS(skeleton, "skeleton/*.tmpl")
	if err != nil {
		return nil, err
	}
	for _, one := range all.Templates() {
		var text bytes.Buffer
		if err := one.Execute(&text, struct{ Name string }{name}); err != nil {
			return nil, err
		}
		file := strings.TrimSuffix(one.Name(), ".tmpl")
		if file == "gitignore" {
			file = ".gitignore" // embed leaves out what begins with a dot
		}
		files[file] = text.Bytes()
	}
	return files, nil
}

// addModule adds go.mod, and with a source tree go.sum: what spotrelay is built
// with, so that the skeleton compiles at once.
func addModule(files map[string][]byte, path, replace string) error {
	mod := new(modfile.File)
	if err := mod.AddModuleStmt(path); err != nil {
		return err
	}
	if replace == "" {
		if err := errors.Join(mod.AddGoStmt(goVersion), mod.AddRequire(ownModule, releasedVersion())); err != nil {
			return err
		}
		text, err := mod.Format()
		files["go.mod"] = text
		return err
	}
	tree, err := filepath.Abs(replace)
	if err != nil {
		return err
	}
	own, err := readOwnModule(tree)
	if err != nil {
		return err
	}
	err = errors.Join(mod.AddGoStmt(own.Go.Version), mod.AddReplace(ownModule, "", filepath.ToSlash(tree), ""))
	mod.AddNewRequire(ownModule, "v0.0.0", false)
	for _, each := range own.Require {
		mod.AddNewRequire(each.Mod.Path, each.Mod.Version, true)
	}
	for _, each := range own.Replace {
		if each.New.Version != "" { // a folder would be another one from here
			err = errors.Join(err, mod.AddReplace(each.Old.Path, each.Old.Version, each.New.Path, each.New.Version))
		}
	}
	if err != nil {
		return err
	}
	mod.SetRequireSeparateIndirect(mod.Require)
	mod.Cleanup()
	if files["go.mod"], err = mod.Format(); err != nil {
		return err
	}
	files["go.sum"], err = os.ReadFile(filepath.Join(tree, "go.sum"))
	return err
}

func readOwnModule(tree string) (*modfile.File, error) {
	const hint = "give the folder with spotrelay's go.mod"
	data, err := os.ReadFile(filepath.Join(tree, "go.mod"))
	if err != nil {
		return nil, wrongCall(hint, "--replace: %w", err)
	}
	own, err := modfile.Parse(filepath.Join(tree, "go.mod"), data, nil)
	if err != nil {
		return nil, wrongCall(hint, "--replace: %w", err)
	}
	if own.Module == nil || own.Module.Mod.Path != ownModule || own.Go == nil {
		return nil, wrongCall(hint, "--replace: %s is not the source of %s", tree, ownModule)
	}
	return own, nil
}

// goVersion is the language that a plugin needs at least.
const goVersion = "1.26.0"

// releasedVersion is this program's, if it is a release, for a plugin to require.
func releasedVersion() string {
	if semver.IsValid(version) && semver.Prerelease(version) == "" {
		return semver.Canonical(version)
	}
	return "v0.0.0" // go mod tidy says that there is none: then --replace is needed
}
