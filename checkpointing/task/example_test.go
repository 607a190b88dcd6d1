package task_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spotrelay/spotrelay/checkpointing/task"
)

// A program that counts, goes on where the attempt before was interrupted, and
// runs on a laptop as well.
func Example() {
	state := filepath.Join(task.Dir(os.TempDir()), "count")
	count := 0
	if task.Resumed() {
		if data, err := os.ReadFile(state); err == nil {
			count, _ = strconv.Atoi(string(data))
		}
	}
	ctx, stop := task.Context(context.Background())
	defer stop()
	for ; count < 3; count++ {
		if ctx.Err() != nil { // a notice: the agent commits what is written
			os.Exit(task.ExitSaved)
		}
		if err := task.WriteFile(state, []byte(strconv.Itoa(count+1)), 0o644); err != nil {
			fmt.Println(err)
			return
		}
		if _, err := task.SaveInBackground(ctx); err != nil {
			fmt.Println("not saved now:", err) // the checkpoint before stays
		}
		fmt.Println("counted", count+1)
	}
	// Output:
	// counted 1
	// counted 2
	// counted 3
}
