//go:build linux

package relaytest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// row is one of what Compute may do, and the tests that show what becomes of it.
type row struct{ what, tests string }

// rows is the reference of how Compute's interruptions show themselves. A test
// is named package.Test or package.Test/case; relaytest is left out.
var rows = []row{
	{"instance/preempted: read once, then a hanging GET with last_etag", "TestNoticeOfPreemption TestNoticeAtStart computetest.TestMachine"},
	{"instance/preempted: 503, retry", "TestNoticeAfter503 computetest.TestMetadata"},
	{"instance/preempted: FALSE again, withdrawn", "TestNoticeWithdrawn"},
	{"instance/maintenance-event: TERMINATE_ON_HOST_MAINTENANCE alone", "TestNoticeOfMaintenance"},
	{"30 s from soft-off to power-off", "computetest.TestPreemption TestEvidenceOfNotice TestTrain"},
	{"PreemptionNoticeDuration 0 or 120 s before the soft-off", "computetest.TestPreemptionNoticeDuration computetest.TestRulesOfInsert"},
	{"reaction under 1 s", "TestTrain TestNoticeOfPreemption"},

	{"compute.instances.preempted: preemption", "TestEvidence/compute.instances.preempted TestTrain"},
	{"compute.instances.hostError: infrastructure", "TestEvidence/compute.instances.hostError"},
	{"compute.instances.terminateOnHostMaintenance: infrastructure", "TestEvidence/compute.instances.terminateOnHostMaintenance"},
	{"compute.instances.guestTerminate: from inside", "TestEvidence/compute.instances.guestTerminate TestStoppedInstanceIsEnded"},
	{"stop, delete: ours", "TestEvidence/delete by us"},
	{"stop, delete: somebody else's", "TestEvidence/delete by somebody else TestEvidence/stop by somebody else"},
	{"stop, delete: a service agent", "TestEvidence/stop by a service agent"},
	{"the end of maxRunDuration", "TestEvidenceOfMaxLife"},
	{"names recur, targetId is the incarnation; 404 after DELETE", "TestEvidenceIsOfTheIncarnation computetest.TestPreemption"},

	{"spot: DELETE, TERMINATE, no restart; maxRunDuration 30 s to 120 d", "computetest.TestRulesOfInsert TestConformance"},
	{"bulkInsert: count, minCount, location policy, flexibility", "computetest.TestBulkInsertPlaces TestLaunchTakesTheNextPool TestLaunchOfFewer"},
	{"requestId: a non-zero UUID, one request", "computetest.TestRequestID TestLaunchAnswers/an answer lost TestConformance"},
	{"errors sit in the operation", "computetest.TestErrorsOfOperations TestLaunchErrors"},
	{"ZONE_RESOURCE_POOL_EXHAUSTED: the zone", "TestLaunchErrors/ZONE_RESOURCE_POOL_EXHAUSTED TestLaunchTakesTheNextPool TestTrain"},
	{"ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS: the zone", "TestLaunchErrors/ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS"},
	{"insufficientCapacity: the zone", "TestLaunchErrors/insufficientCapacity"},
	{"UNSUPPORTED_OPERATION, preempted while being created: the zone", "TestLaunchErrors/UNSUPPORTED_OPERATION"},
	{"IP_SPACE_EXHAUSTED: the subnet", "TestLaunchErrors/IP_SPACE_EXHAUSTED"},
	{"IP_SPACE_EXHAUSTED_WITH_DETAILS: the subnet", "TestLaunchErrors/IP_SPACE_EXHAUSTED_WITH_DETAILS"},
	{"QUOTA_EXCEEDED: the region", "TestLaunchErrors/QUOTA_EXCEEDED TestLaunchAnswers/403 quotaExceeded"},
	{"QUOTA_EXCEEDED with GPUS_ALL_REGIONS: everywhere", "TestLaunchGPUQuota"},
	{"IAM_PERMISSION_DENIED: fail the run", "TestLaunchErrors/IAM_PERMISSION_DENIED TestMissingPermissions"},
	{"VPC_NOT_FOUND: fail the run", "TestLaunchErrors/VPC_NOT_FOUND"},
	{"throttled: rateLimitExceeded, 403 and 429", "TestLaunchAnswers/403 rateLimitExceeded, twice TestLaunchAnswers/429, once computetest.TestThrottling TestTrain"},
	{"a part of a list cannot be reached: UNREACHABLE", "TestListIsWhole computetest.TestUnreachable"},
}

// Each row names tests that are there. The table is for people: go test -v.
func TestEveryRowHasItsTest(t *testing.T) {
	sources := map[string]string{"": sourceOf(t, "."), "computetest": sourceOf(t, filepath.Join("..", "computetest"))}
	var table strings.Builder
	for _, r := range rows {
		named := strings.Split(regexp.MustCompile(` ((?:\w+\.)?Test)`).ReplaceAllString(r.tests, "\x00$1"), "\x00")
		for _, name := range named {
			in, test := "", name
			if before, after, ok := strings.Cut(name, ".Test"); ok && before == "computetest" {
				in, test = before, "Test"+after
			}
			test, which, isCase := strings.Cut(test, "/")
			if !strings.Contains(sources[in], "func "+test+"(t *testing.T)") {
				t.Errorf("%s: there is no test %s", r.what, name)
			}
			if isCase && !strings.Contains(sources[in], fmt.Sprintf("%q", which)) {
				t.Errorf("%s: %s has no case %q", r.what, test, which)
			}
		}
		fmt.Fprintf(&table, "| %s | %s |\n", r.what, strings.Join(named, ", "))
	}
	t.Logf("\n| Compute | tests |\n|---|---|\n%s", table.String())
}

func sourceOf(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%q: %v", files, err)
	}
	var all bytes.Buffer
	for _, file := range files {
		if filepath.Base(file) == "rows_test.go" {
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(data)
	}
	return all.String()
}
