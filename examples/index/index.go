// Command index makes a word index of a tree of Go files, shard by shard, and
// merges the shards. Its output depends on the files alone: neither on the
// number of shards nor on the order in which they are done.
//
// A line of an index is a word, how often it occurs, and the files it occurs
// in, each as number:count; files.txt has the files' names by number.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "index:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New("call it as: index shard|merge [flags]")
	}
	flags := flag.NewFlagSet("index "+args[0], flag.ContinueOnError)
	to := flags.String("to", "out", "the folder to write to")
	switch args[0] {
	case "shard":
		root := flags.String("root", "", "the folder whose .go files are indexed; empty is the Go distribution's src")
		shard := flags.Int("shard", 0, "which shard")
		of := flags.Int("of", 1, "how many shards there are")
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		return indexShard(*root, *shard, *of, *to)
	case "merge":
		from := flags.String("from", "", "the folder with a folder per shard")
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		return merge(*from, *to)
	default:
		return fmt.Errorf("unknown command %q: it is shard or merge", args[0])
	}
}

// posting is how often a word occurs in a file.
type posting struct{ file, count int }

// indexShard indexes every of-th file from shard on.
func indexShard(root string, shard, of int, to string) error {
	if of < 1 || shard < 0 || shard >= of {
		return fmt.Errorf("there is no shard %d of %d", shard, of)
	}
	root, err := sourceRoot(root)
	if err != nil {
		return err
	}
	files, err := goFiles(root)
	if err != nil {
		return err
	}
	index := map[string][]posting{}
	done := 0
	for number := shard; number < len(files); number += of {
		counts, err := countWords(filepath.Join(root, files[number]))
		if err != nil {
			return err
		}
		for word, count := range counts {
			index[word] = append(index[word], posting{number, count})
		}
		done++
	}
	fmt.Printf("shard %d of %d: %d of %d files, %d words\n", shard, of, done, len(files), len(index))
	return write(to, files, index)
}

// sourceRoot is root, or the source tree of the Go distribution.
func sourceRoot(root string) (string, error) {
	if root != "" {
		return root, nil
	}
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("asking go for its root: %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "src"), nil
}

// goFiles lists the .go files below root by slash path, sorted.
func goFiles(root string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !entry.Type().IsRegular() || filepath.Ext(path) != ".go" {
			return nil
		}
		relative, err := filepath.Rel(root, path)
		files = append(files, filepath.ToSlash(relative))
		return err
	})
	slices.Sort(files)
	return files, err
}

// countWords counts the words of a file: runs of ASCII letters, at least three,
// in lower case.
func countWords(path string) (map[string]int, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	counts := map[string]int{}
	start := -1
	for i, c := range append(data, ' ') {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		switch {
		case letter && start < 0:
			start = i
		case !letter && start >= 0:
			if i-start >= 3 {
				counts[strings.ToLower(string(data[start:i]))]++
			}
			start = -1
		}
	}
	return counts, nil
}

// merge joins the shards in the folders below from.
func merge(from, to string) error {
	shards, err := filepath.Glob(filepath.Join(from, "*", "index.txt"))
	if err != nil {
		return err
	}
	if len(shards) == 0 {
		return fmt.Errorf("no shard's index.txt in a folder of %s", from)
	}
	files, err := readLines(filepath.Join(filepath.Dir(shards[0]), "files.txt"))
	if err != nil {
		return err
	}
	index := map[string][]posting{}
	for _, shard := range shards {
		if err := read(shard, index); err != nil {
			return err
		}
	}
	fmt.Printf("merged %d shards: %d files, %d words\n", len(shards), len(files), len(index))
	return write(to, files, index)
}

// read adds the index in a file to index.
func read(path string, index map[string][]posting) error {
	lines, err := readLines(path)
	if err != nil {
		return err
	}
	for number, line := range lines {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			return fmt.Errorf("%s:%d: not a line of an index", path, number+1)
		}
		for _, field := range fields[2:] {
			file, count, _ := strings.Cut(field, ":")
			p, err := parsePosting(file, count)
			if err != nil {
				return fmt.Errorf("%s:%d: %w", path, number+1, err)
			}
			index[fields[0]] = append(index[fields[0]], p)
		}
	}
	return nil
}

func parsePosting(file, count string) (posting, error) {
	f, err := strconv.Atoi(file)
	if err != nil {
		return posting{}, err
	}
	c, err := strconv.Atoi(count)
	return posting{f, c}, err
}

func readLines(path string) ([]string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	text := strings.TrimSuffix(string(data), "\n")
	if text == "" {
		return nil, nil
	}
	return strings.Split(text, "\n"), nil
}

// write makes files.txt and index.txt, words and files in order.
func write(to string, files []string, index map[string][]posting) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	names := strings.Join(files, "\n") + "\n"
	if err := os.WriteFile(filepath.Join(to, "files.txt"), []byte(names), 0o644); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(to, "index.txt"))
	if err != nil {
		return err
	}
	buffer := bufio.NewWriter(f)
	for _, word := range slices.Sorted(maps.Keys(index)) {
		writeWord(buffer, word, index[word])
	}
	return errors.Join(buffer.Flush(), f.Close())
}

func writeWord(w io.Writer, word string, postings []posting) {
	slices.SortFunc(postings, func(a, b posting) int { return a.file - b.file })
	total := 0
	for _, p := range postings {
		total += p.count
	}
	fmt.Fprintf(w, "%s\t%d\t", word, total)
	for i, p := range postings {
		if i > 0 {
			fmt.Fprint(w, " ")
		}
		fmt.Fprintf(w, "%d:%d", p.file, p.count)
	}
	fmt.Fprintln(w)
}
