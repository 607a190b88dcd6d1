package discovery

import (
	"bytes"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The extracts are those of the module that go.mod names.
func TestExtractsAreCurrent(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "google.golang.org/api").Output()
	if err != nil {
		t.Fatal(err)
	}
	module := strings.TrimSpace(string(out))
	for _, c := range []struct {
		file    string
		methods []string
		have    []byte
	}{
		{"compute/v1/compute-api.json", ComputeMethods, computeExtract},
		{"cloudbilling/v1/cloudbilling-api.json", BillingMethods, billingExtract},
	} {
		document, err := os.ReadFile(filepath.Join(module, c.file))
		if err != nil {
			t.Fatal(err)
		}
		want, err := Extract(document, c.methods)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(c.have, want) {
			t.Errorf("the extract of %s is not current: run go generate", c.file)
		}
	}
}

func TestExtractOfUnknownMethod(t *testing.T) {
	if _, err := Extract([]byte(`{"name": "x"}`), []string{"x.y.z"}); err == nil {
		t.Error("a method that is not there was extracted")
	}
}

func find(t *testing.T, httpMethod, path string) (*Method, map[string]string) {
	t.Helper()
	d, err := Compute()
	if err != nil {
		t.Fatal(err)
	}
	m, values := d.Find(httpMethod, "/compute/v1/"+path)
	if m == nil {
		t.Fatalf("no method %s %s", httpMethod, path)
	}
	return m, values
}

func TestFind(t *testing.T) {
	for path, want := range map[string]string{
		"GET projects/p1/zones/us-central1-a/instances":                             "compute.instances.list",
		"POST projects/p1/zones/us-central1-a/instances":                            "compute.instances.insert",
		"GET projects/p1/zones/us-central1-a/instances/x":                           "compute.instances.get",
		"DELETE projects/p1/zones/us-central1-a/instances/x":                        "compute.instances.delete",
		"GET projects/p1/zones/us-central1-a/instances/x/serialPort":                "compute.instances.getSerialPortOutput",
		"POST projects/p1/regions/us-central1/instances/bulkInsert":                 "compute.regionInstances.bulkInsert",
		"GET projects/ubuntu-os-cloud/global/images/family/ubuntu-2404-lts-amd64":   "compute.images.getFromFamily",
		"POST projects/p1/regions/us-central1/operations/operation-1/wait":          "compute.regionOperations.wait",
		"POST projects/p1/zones/us-central1-a/instances/x/simulateMaintenanceEvent": "compute.instances.simulateMaintenanceEvent",
		"GET projects/p1/aggregated/instances":                                      "compute.instances.aggregatedList",
	} {
		verb, rest, _ := strings.Cut(path, " ")
		if m, _ := find(t, verb, rest); m.ID != want {
			t.Errorf("%s is %s, not %s", path, m.ID, want)
		}
	}
	d, err := Billing()
	if err != nil {
		t.Fatal(err)
	}
	m, values := d.Find("GET", "/v1/services/6F81-5844-456A/skus")
	if m == nil || m.ID != "cloudbilling.services.skus.list" || values["parent"] != "services/6F81-5844-456A" {
		t.Errorf("the list of SKUs is %+v with %v", m, values)
	}
	if m, _ := d.Find("POST", "/v1/services/6F81-5844-456A/skus"); m != nil {
		t.Errorf("a POST is %s", m.ID)
	}
}

func TestCheckRequest(t *testing.T) {
	const instances = "projects/p1/zones/us-central1-a/instances"
	for name, c := range map[string]struct {
		verb, path, query, body string
		where                   string // of the first fault; "" for none
	}{
		"a list":                {"GET", instances, "maxResults=500&filter=name%3Dx", "", ""},
		"a system parameter":    {"GET", instances, "prettyPrint=false&alt=json", "", ""},
		"an unknown parameter":  {"GET", instances, "pagesize=5", "", "query.pagesize"},
		"a path's parameter":    {"GET", instances, "zone=us-central1-a", "", "query.zone"},
		"no number":             {"GET", instances, "maxResults=many", "", "query.maxResults"},
		"a negative number":     {"GET", instances, "maxResults=-1", "", "query.maxResults"},
		"no boolean":            {"GET", "projects/p1/aggregated/instances", "includeAllScopes=1", "", "query.includeAllScopes"},
		"twice":                 {"GET", instances, "filter=a&filter=b", "", "query.filter"},
		"a bad zone":            {"GET", "projects/p1/zones/US/instances", "", "", "path.zone"},
		"a body where is none":  {"GET", instances, "", `{}`, "body"},
		"an instance":           {"POST", instances, "", `{"name": "x", "disks": [{"boot": true, "diskSizeGb": "10"}]}`, ""},
		"no body":               {"POST", instances, "", "", "body"},
		"no JSON":               {"POST", instances, "", "{", "body"},
		"more than JSON":        {"POST", instances, "", "{} {}", "body"},
		"an array":              {"POST", instances, "", "[]", "body"},
		"an unknown field":      {"POST", instances, "", `{"disks": [{"booot": true}]}`, "body.disks[0].booot"},
		"a wrong type":          {"POST", instances, "", `{"disks": [{"boot": "true"}]}`, "body.disks[0].boot"},
		"a number for an int64": {"POST", instances, "", `{"disks": [{"diskSizeGb": 10}]}`, "body.disks[0].diskSizeGb"},
		"no int64":              {"POST", instances, "", `{"disks": [{"diskSizeGb": "10G"}]}`, "body.disks[0].diskSizeGb"},
		"a wrong enum":          {"POST", instances, "", `{"scheduling": {"provisioningModel": "spot"}}`, "body.scheduling.provisioningModel"},
		"a wrong name":          {"POST", instances, "", `{"name": "X_1"}`, "body.name"},
		"a long name":           {"POST", instances, "", `{"name": "a` + strings.Repeat("b", 63) + `"}`, "body.name"},
		"an output field":       {"POST", instances, "", `{"status": "RUNNING"}`, "body.status"},
		"a label that is none":  {"POST", instances, "", `{"labels": {"a": 1}}`, "body.labels.a"},
		"a null":                {"POST", instances, "", `{"labels": null}`, "body.labels"},
	} {
		t.Run(name, func(t *testing.T) {
			m, values := find(t, c.verb, c.path)
			query, err := url.ParseQuery(c.query)
			if err != nil {
				t.Fatal(err)
			}
			where := ""
			faults := m.CheckRequest(values, query, []byte(c.body))
			if len(faults) > 0 {
				where = faults[0].Where
			}
			if where != c.where {
				t.Errorf("the faults are %v; want one at %q", faults, c.where)
			}
		})
	}
}

func TestCheckAnswer(t *testing.T) {
	m, _ := find(t, "GET", "projects/p1/zones/us-central1-a/instances/x")
	if faults := m.CheckAnswer([]byte(`{"id": "17", "status": "RUNNING"}`)); len(faults) > 0 {
		t.Error(faults)
	}
	for _, body := range []string{`{"id": 17}`, `{"status": "WELL"}`, `{"colour": "red"}`, ``} {
		if faults := m.CheckAnswer([]byte(body)); len(faults) != 1 {
			t.Errorf("%s: %v", body, faults)
		}
	}
}

// Whatever is sent, the checker says yes or no.
func FuzzCheckRequest(f *testing.F) {
	f.Add("maxResults=5", `{"name": "x", "disks": [{"boot": true}]}`)
	f.Add("maxResults=5&maxResults=1e400", `{"disks": {"a": []}}`)
	f.Add("%", `{"labels": {"a": null}, "scheduling": [1]}`)
	d, err := Compute()
	if err != nil {
		f.Fatal(err)
	}
	m, values := d.Find("POST", "/compute/v1/projects/p1/zones/us-central1-a/instances")
	f.Fuzz(func(t *testing.T, query, body string) {
		q, _ := url.ParseQuery(query)
		for _, fault := range m.CheckRequest(values, q, []byte(body)) {
			if fault.Where == "" || fault.Message == "" {
				t.Errorf("an empty fault: %+v", fault)
			}
		}
	})
}
