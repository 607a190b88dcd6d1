package buckettest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

// childEnv names the bucket to a child process of the suite.
const childEnv = "SPOTRELAY_BUCKETTEST_CHILD"

const (
	processes     = 6
	processKeys   = 40
	processCounts = 30
)

var mainCalled bool

// Main is for the TestMain of a package that calls Run: it makes the test
// binary serve as the suite's other processes too. It returns in the parent
// only, with the exit code.
func Main(m *testing.M) int {
	if address := os.Getenv(childEnv); address != "" {
		if err := child(address); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	mainCalled = true
	return m.Run()
}

// child competes for keys and for a counter, and prints what it won.
func child(address string) error {
	ctx := context.Background()
	b, err := bucket.Open(ctx, address)
	if err != nil {
		return err
	}
	defer b.Close()
	won, err := createAll(ctx, b, processKeys, strconv.Itoa(os.Getpid()))
	if err != nil {
		return err
	}
	if err := count(ctx, b, processCounts); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(won)
}

func testProcesses(t *testing.T, b bucket.Bucket) {
	if !mainCalled {
		t.Fatal("the package's TestMain must call buckettest.Main")
	}
	address := b.Describe().URL
	again, err := bucket.Open(t.Context(), address)
	if err != nil {
		t.Skipf("%s cannot be opened by its address: %v", address, err)
	}
	again.Close()
	var won [processes][]int
	each(t, processes, func(i int) error {
		command := exec.CommandContext(t.Context(), os.Args[0])
		command.Env = append(os.Environ(), childEnv+"="+address)
		command.Stderr = os.Stderr
		out, err := command.Output()
		if err != nil {
			return err
		}
		return json.Unmarshal(out, &won[i])
	})
	winners := map[int]int{}
	for i := range won {
		for _, key := range won[i] {
			winners[key]++
		}
	}
	for key := range processKeys {
		if winners[key] != 1 {
			t.Errorf("key %d was won by %d processes", key, winners[key])
		}
	}
	if got, _ := get(t, b, "counter", 0, -1); got != strconv.Itoa(processes*processCounts) {
		t.Errorf("%d processes counted %d times each to %s", processes, processCounts, got)
	}
}
