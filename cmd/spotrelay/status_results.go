package main

import "fmt"

// printTaskResults shows what tasks wrote to their result files, of those that
// are no arrays.
func (a *app) printTaskResults(tasks []taskJSON) {
	var rows [][]string
	for _, task := range tasks {
		for _, key := range sortedKeys(task.Result) {
			rows = append(rows, []string{task.Task, key, printable([]byte(task.Result[key]))})
		}
	}
	if len(rows) > 0 {
		fmt.Fprintln(a.stdout)
		printTable(a.stdout, []string{"TASK", "RESULT", "VALUE"}, rows)
	}
}
