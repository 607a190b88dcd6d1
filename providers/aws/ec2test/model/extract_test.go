package model

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"slices"
	"testing"
)

// wantBotocore makes the absence of botocore a failure: CI sets it.
const wantBotocore = "SPOTRELAY_TEST_BOTOCORE"

// The extract is what the installed botocore says: the same bytes for the same
// version, and nothing that a later version has taken back.
func TestExtractIsBotocores(t *testing.T) {
	from, err := Installed()
	if errors.Is(err, fs.ErrNotExist) {
		if os.Getenv(wantBotocore) != "" {
			t.Fatalf("no botocore in %s: apt install python3-botocore, or set SPOTRELAY_BOTOCORE", from)
		}
		t.Skip("botocore is not installed; the extract was compared with it when it was made, and .ci/run compares it again")
	}
	if err != nil {
		t.Fatal(err)
	}
	installed, err := Cut(from)
	if err != nil {
		t.Fatal(err)
	}
	ours := Load()
	if installed.Version == ours.Version {
		again, err := installed.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(again, embedded) {
			t.Errorf("testdata/model.json is not what botocore %s says: go generate ./providers/aws/ec2test/model", ours.Version)
		}
		return
	}
	t.Logf("botocore %s is installed, the extract is of %s: it must say nothing that is no longer so", installed.Version, ours.Version)
	for name, service := range ours.Services {
		compareServices(t, name, service, installed.Services[name])
	}
}

func compareServices(t *testing.T, service string, ours, theirs *Service) {
	for name, operation := range ours.Operations {
		if theirs.Operations[name] != operation {
			t.Errorf("%s: %s is %+v, not %+v", service, name, theirs.Operations[name], operation)
		}
	}
	for name, shape := range ours.Shapes {
		other := theirs.Shapes[name]
		if other == nil {
			continue // renamed: its users are compared
		}
		if other.Type != shape.Type {
			t.Errorf("%s: %s is a %s, not a %s", service, name, other.Type, shape.Type)
		}
		for member, use := range shape.Members {
			now, ok := other.Members[member]
			if !ok || now.LocationName != use.LocationName || now.QueryName != use.QueryName {
				t.Errorf("%s: %s.%s is %+v, not %+v", service, name, member, now, use)
			}
		}
		for _, value := range shape.Enum {
			if len(other.Enum) > 0 && !slices.Contains(other.Enum, value) {
				t.Errorf("%s: %s no longer has %q", service, name, value)
			}
		}
	}
}
