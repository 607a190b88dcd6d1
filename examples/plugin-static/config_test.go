package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/spotrelay/spotrelay/providers"
)

func TestConfigFaults(t *testing.T) {
	for name, c := range map[string]struct {
		config, path, says string
	}{
		"no host":        {`{"user":"u"}`, "", "There is no host"},
		"odd name":       {`{"user":"u","host":[{"name":"A.b","address":"x"}]}`, "host/0/name", "no name"},
		"no address":     {`{"user":"u","host":[{"name":"a"}]}`, "host/0/address", "no address"},
		"twice":          {`{"user":"u","host":[{"name":"a","address":"x"},{"name":"a","address":"y"}]}`, "host/1/name", "twice"},
		"slots":          {`{"user":"u","host":[{"name":"a","address":"x","slots":-1}]}`, "host/0/slots", "slots"},
		"price":          {`{"user":"u","host":[{"name":"a","address":"x","price":-1}]}`, "host/0/price", "price"},
		"gpus":           {`{"user":"u","host":[{"name":"a","address":"x","gpus":-1}]}`, "host/0/gpus", "gpus"},
		"down_after":     {`{"user":"u","down_after":"soon","host":[{"name":"a","address":"x"}]}`, "down_after", "no time"},
		"not understood": {`{"user":1}`, "", "not understood"},
	} {
		t.Run(name, func(t *testing.T) {
			_, faults := parseConfig(providers.Fleet{Config: []byte(c.config)})
			found := slices.ContainsFunc(faults, func(f providers.Fault) bool {
				return strings.Join(f.Path, "/") == c.path && strings.Contains(f.Summary, c.says)
			})
			if !found {
				t.Errorf("want %q at %q: %+v", c.says, c.path, faults)
			}
		})
	}
}

func TestConfigInherits(t *testing.T) {
	c, faults := parseConfig(providers.Fleet{Config: []byte(
		`{"user":"u","folder":"/f","host":[{"name":"a","address":"x"},{"name":"b","address":"::1","user":"v","slots":3}]}`)})
	if len(faults) > 0 {
		t.Fatalf("%+v", faults)
	}
	a, b := c.Hosts[0], c.Hosts[1]
	if a.Address != "x:22" || a.User != "u" || a.Folder != "/f" || a.Slots != 1 || a.Price != defaultPrice || a.Zone != "static" {
		t.Errorf("%+v", a)
	}
	if b.Address != "[::1]:22" || b.User != "v" || b.Slots != 3 {
		t.Errorf("%+v", b)
	}
}

func FuzzParseFacts(f *testing.F) {
	f.Add("cpus 4\nmemory 1000\narch x86_64\nos Linux\n")
	f.Add("cpus -1\nmemory\n\n os")
	f.Fuzz(func(t *testing.T, text string) {
		is, err := parseFacts(text)
		if err == nil && (!(is.cpus > 0) || is.memory <= 0 || is.arch == "") {
			t.Errorf("%q gives %+v", text, is)
		}
	})
}
