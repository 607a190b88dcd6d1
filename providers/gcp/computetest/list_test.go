package computetest_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/compute/apiv1/computepb"
	"github.com/googleapis/gax-go/v2/callctx"
	"google.golang.org/api/cloudbilling/v1"
	"google.golang.org/api/iterator"

	"github.com/spotrelay/spotrelay/providers/gcp/computetest"
)

func TestPaging(t *testing.T) {
	r := newRig(t, computetest.Options{})
	request := bulkRequest(1201, "n2-standard-2")
	r.run(request)
	r.ForgetCalls()
	if names := r.list(""); len(names) != 1201 || !slices.IsSorted(names) {
		t.Errorf("%d names", len(names))
	}
	if calls := r.Calls("compute.instances.list"); len(calls) != 3 {
		t.Errorf("%d pages, not 3", len(calls))
	}
	if names := r.list(`labels.spotrelay-run = "other"`); len(names) > 0 {
		t.Errorf("of another run: %q", names)
	}
}

func TestListLag(t *testing.T) {
	r := newRig(t, computetest.Options{ListLag: 5 * time.Second})
	r.insert(spotInstance("one"))
	if names := r.list(""); len(names) > 0 {
		t.Errorf("a second after its insert there is %q", names)
	}
	r.clock.Advance(4 * time.Second)
	if names := r.list(""); len(names) != 1 {
		t.Errorf("five seconds after its insert there is %q", names)
	}
}

func TestFieldMask(t *testing.T) {
	r := newRig(t, computetest.Options{TolerateFaults: true})
	r.insert(spotInstance("one"))
	list := func(mask string) (*computepb.Instance, error) {
		ctx := callctx.SetHeaders(t.Context(), "X-Goog-FieldMask", mask)
		return r.instances.List(ctx, &computepb.ListInstancesRequest{Project: project, Zone: zoneA}).Next()
	}
	for _, mask := range []string{"items.name,items.labels,nextPageToken", "nextPageToken,items(name,labels)", "items/name,items/labels"} {
		in := must(list(mask))(t)
		if in.GetName() != "one" || in.GetLabels()["owner"] != "one" || in.Status != nil || in.Scheduling != nil {
			t.Errorf("with %s the instance is %v", mask, in)
		}
	}
	for _, mask := range []string{"items(name", "items..name", "items.colour", "items(name))", "items(scheduling(spot))", "items, name"} {
		if _, err := list(mask); statusOf(err) != http.StatusBadRequest {
			t.Errorf("%s: %v", mask, err)
		}
	}
}

// A zone that cannot be reached is a warning in a page that looks whole.
func TestUnreachable(t *testing.T) {
	r := newRig(t, computetest.Options{})
	r.insert(spotInstance("one"))
	r.SetUnreachable(zoneA, true)
	all := r.instances.List(t.Context(), &computepb.ListInstancesRequest{Project: project, Zone: zoneA})
	_, err := all.Next()
	page, ok := all.Response.(*computepb.InstanceList)
	if !errors.Is(err, iterator.Done) || !ok || page.GetWarning().GetCode() != "UNREACHABLE" {
		t.Errorf("%v, %v", err, page)
	}
	scopes := r.instances.AggregatedList(t.Context(), &computepb.AggregatedListInstancesRequest{Project: project})
	warned := 0
	for {
		scope, err := scopes.Next()
		if errors.Is(err, iterator.Done) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if scope.Value.GetWarning().GetCode() == "UNREACHABLE" && scope.Key == "zones/"+zoneA {
			warned++
		}
	}
	if warned != 1 {
		t.Errorf("%d warnings", warned)
	}
	r.SetUnreachable(zoneA, false)
	if names := r.list(""); len(names) != 1 {
		t.Errorf("reached again, there is %q", names)
	}
}

// What is not of the list's own form is refused.
func TestBadLists(t *testing.T) {
	r := newRig(t, computetest.Options{TolerateFaults: true})
	for _, request := range []*computepb.ListInstancesRequest{
		{Filter: ptr("name eq one")}, {Filter: ptr("name =")}, {Filter: ptr(`(name = "one"`)}, {Filter: ptr(`NOT name = "one"`)},
		{Filter: ptr("name = a b = c")}, {OrderBy: ptr("zone")}, {MaxResults: ptr(uint32(501))}, {PageToken: ptr("x")},
	} {
		request.Project, request.Zone = project, zoneA
		if _, err := r.instances.List(t.Context(), request).Next(); statusOf(err) != http.StatusBadRequest {
			t.Errorf("%v: %v", request, err)
		}
	}
}

func TestFilters(t *testing.T) {
	r := newRig(t, computetest.Options{})
	one := r.insert(spotInstance("one"))
	r.insert(onDemand("two"))
	for filter, want := range map[string]string{
		``:                                      "one two",
		`name = one`:                            "one",
		`name != "one"`:                         "two",
		`labels.owner = "two"`:                  "two",
		`(labels.owner = "two") (name = "one")`: "",
		`(labels.owner = "two") AND (labels.spotrelay-run="r1")`:      "two",
		`(name = "one") OR (name = "two")`:                            "one two",
		`labels.owner:*`:                                              "one two",
		`labels.none:*`:                                               "",
		`labels.none = ""`:                                            "",
		`scheduling.automaticRestart = false`:                         "one two",
		`scheduling.provisioningModel = SPOT`:                         "one",
		fmt.Sprintf("id = %d", one.GetId()):                           "one",
		fmt.Sprintf("(id=%d) OR (id=7)", one.GetId()):                 "one",
		fmt.Sprintf("id > %d", one.GetId()):                           "two",
		`((name = "one") OR (name = "two")) AND (status = "RUNNING")`: "one two",
	} {
		if got := strings.Join(r.list(filter), " "); got != want {
			t.Errorf("%s: %q, not %q", filter, got, want)
		}
	}
}

func TestSKUs(t *testing.T) {
	r := newRig(t, computetest.Options{})
	service := must(cloudbilling.NewService(t.Context(), r.options...))(t)
	seen, token := 0, ""
	for {
		page := must(service.Services.Skus.List(computetest.ComputeService).CurrencyCode("USD").PageSize(20).PageToken(token).Do())(t)
		for _, sku := range page.Skus {
			if rate := sku.PricingInfo[0].PricingExpression.TieredRates[0].UnitPrice; rate.Units*1e9+rate.Nanos <= 0 {
				t.Errorf("%s costs nothing", sku.Description)
			}
		}
		seen += len(page.Skus)
		if token = page.NextPageToken; token == "" {
			break
		}
	}
	if seen < 50 {
		t.Errorf("%d SKUs", seen)
	}
}

// Whatever a server is asked, it answers with JSON.
func TestUnknownMethod(t *testing.T) {
	r := newRig(t, computetest.Options{TolerateFaults: true})
	answer := must(http.Get(r.URL + "/compute/v1/projects/p1/global/firewalls"))(t)
	defer answer.Body.Close()
	body := must(io.ReadAll(answer.Body))(t)
	if answer.StatusCode != http.StatusNotFound || !strings.Contains(string(body), "speaks no method") {
		t.Errorf("%d %s", answer.StatusCode, body)
	}
}
