package relaytest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// row is a row of the tables of what AWS says and does, with the tests that
// cover it: "package.Test". The code, where it is one, stands in the test's file
// or in its table.
type row struct {
	what  string
	tests []string
}

const (
	metadataTests = "relaytest.TestNoticeSources"
	absentTests   = "relaytest.TestNoNotice"
	reasonTests   = "aws.TestStateReasons"
	statusTests   = "aws.TestSpotStatuses"
	poolTests     = "aws.TestPoolErrors"
	callTests     = "aws.TestCallErrors"
)

func rows(what []string, tests ...string) []row {
	var all []row
	for _, one := range what {
		all = append(all, row{one, tests})
	}
	return all
}

// reference is every row, by table.
var reference = []struct {
	table string
	rows  []row
}{
	{"AWS, inside the VM", slices.Concat(
		[]row{
			{"the token: PUT, header, 400, 403", []string{"ec2test.TestMetadata"}},
			{"401: renew the token", []string{"relaytest.TestTokenRenewed"}},
			{"403 and 503 for a while", []string{"relaytest.TestNoticeAfterErrors"}},
			{"a PUT that was forwarded is refused", []string{"ec2test.TestMetadata"}},
			{"ask no more often than every 2 s", []string{"relaytest.TestProbeAsksSeldom"}},
			{"a whole instance reads it at 169.254.169.254", []string{"ec2test.TestMachine", "relaytest.TestTrain"}},
		},
		rows([]string{"spot/instance-action", "spot/termination-time", "events/recommendations/rebalance", "events/maintenance/scheduled"}, metadataTests, absentTests),
		rows([]string{"instance-reboot", "system-reboot", "system-maintenance", "instance-retirement", "instance-stop", "hibernate"}, metadataTests),
		rows([]string{"autoscaling/target-lifecycle-state"}, absentTests),
		[]row{
			{"notice and rebalance together", []string{"relaytest.TestNoticeAndRebalanceTogether"}},
			{"a notice withdrawn", []string{"relaytest.TestNoticeWithdrawn", "ec2test.TestEvidence"}},
		},
	)},
	{"StateReason.Code", rows([]string{
		"Server.SpotInstanceTermination", "Server.SpotInstanceShutdown", "Server.InsufficientInstanceCapacity", "Server.InternalError",
		"Server.ScheduledStop", "Client.UserInitiatedShutdown", "Client.InstanceInitiatedShutdown", "Client.InternalError",
		"Client.VolumeLimitExceeded", "Client.InvalidSnapshot.NotFound",
	}, reasonTests)},
	{"spot request Status.Code", slices.Concat(rows([]string{
		"instance-terminated-no-capacity", "instance-terminated-by-price", "instance-terminated-launch-group-constraint",
		"instance-stopped-no-capacity", "instance-stopped-by-price", "marked-for-termination", "instance-terminated-by-experiment",
		"instance-stopped-by-experiment", "marked-for-stop-by-experiment", "instance-terminated-capacity-oversubscribed",
		"instance-terminated-by-user", "spot-instance-terminated-by-user", "instance-stopped-by-user", "request-canceled-and-instance-running",
		"capacity-not-available", "price-too-low", "constraint-not-fulfillable", "pending-evaluation", "pending-fulfillment",
		"bad-parameters", "system-error", "schedule-expired", "canceled-before-fulfillment",
	}, statusTests), rows([]string{"marked-for-stop"}, statusTests, "aws.TestMarkedForStop"))},
	{"user or reclaim, visibility", []row{
		{"what a later call of ours overwrites is read before", []string{"ec2test.TestEvidence", "aws.TestEvidenceIsSound"}},
		{"terminated instances stay for a while, requests longer", []string{"ec2test.TestLifeOfAnInstance", "aws.TestForgottenInstance"}},
		{"the status flips at once, the VM runs on", []string{"ec2test.TestEvidence", statusTests}},
	}},
	{"launch errors", slices.Concat(rows([]string{
		"InsufficientInstanceCapacity", "UnfulfillableCapacity", "SpotMaxPriceTooLow", "Unsupported", "InsufficientFreeAddressesInSubnet",
		"MaxSpotInstanceCountExceeded", "VcpuLimitExceeded", "InstanceLimitExceeded", "MaxFleetCountExceeded", "RequestLimitExceeded",
		"UnauthorizedOperation", "InvalidAMIID.NotFound", "InvalidParameterValue", "InvalidUserData.Malformed",
		"AuthFailure.ServiceLinkedRoleCreationNotPermitted",
	}, poolTests, callTests))},
	{"traps", []row{
		{"CreateFleet answers 200 with errors per override", []string{"ec2test.TestFleetOverManyPools", "aws.TestPartOfALaunch"}},
		{"InsufficientInstanceCapacity is HTTP 500", []string{"ec2test.TestRunInstances", callTests}},
		{"ClientToken is at most 64 ASCII characters", []string{"ec2test.TestRefusedRequests", "aws.TestConformance"}},
		{"a token is zonal, and good for one request", []string{"ec2test.TestTokens", "aws.TestTokenAfterLostAnswer"}},
		{"an answer lost after the effect", []string{"ec2test.TestLostAnswer", "aws.TestTokenAfterLostAnswer"}},
		{"InvalidInstanceID.NotFound may be lag", []string{"ec2test.TestLifeOfAnInstance", "aws.TestConformance"}},
		{"user data is at most 16 KiB", []string{"ec2test.TestUserDataIsBounded"}},
		{"tags at creation; powered off is terminated", []string{"aws.TestInstancesAreMarked", "ec2test.TestMachinePowersOff"}},
	}},
}

// TestReference wants a test for every row, and logs the table (go test -v).
func TestReference(t *testing.T) {
	packages := map[string]source{}
	for name, folder := range map[string]string{"aws": "providers/aws", "ec2test": "providers/aws/ec2test", "relaytest": "providers/aws/relaytest"} {
		packages[name] = readTests(t, filepath.Join(repository(), filepath.FromSlash(folder)))
	}
	var table strings.Builder
	count := 0
	for _, part := range reference {
		for _, r := range part.rows {
			count++
			fmt.Fprintf(&table, "| %s | %s | %s |\n", part.table, r.what, strings.Join(r.tests, ", "))
			for _, test := range r.tests {
				pkg, name, _ := strings.Cut(test, ".")
				file, found := packages[pkg].tests[name]
				if !found {
					t.Errorf("%s: %s: there is no test %s", part.table, r.what, test)
				} else if isCode(r.what) && !strings.Contains(file, r.what) {
					t.Errorf("%s: the file of %s says nothing of %s", part.table, test, r.what)
				}
			}
		}
	}
	t.Logf("%d rows\n| table | row | tests |\n|---|---|---|\n%s", count, table.String())
}

// isCode: a word of AWS's, not a sentence of ours.
func isCode(what string) bool { return !strings.Contains(what, " ") }

// source is a package's tests, each with the text of its file.
type source struct{ tests map[string]string }

func readTests(t *testing.T, folder string) source {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	s := source{map[string]string{}}
	for _, file := range files {
		if filepath.Base(file) == "reference_test.go" {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, declaration := range parsed.Decls {
			if f, ok := declaration.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
				s.tests[f.Name.Name] = string(text)
			}
		}
	}
	return s
}
