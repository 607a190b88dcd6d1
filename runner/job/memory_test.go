package job

import (
	"slices"
	"testing"
)

func TestMemoryTiers(t *testing.T) {
	const gib = 1 << 30
	for _, c := range []struct {
		name   string
		memory int64
		more   *MoreMemory
		tries  int
		want   []int64
	}{
		{"none", 4 * gib, nil, 5, []int64{4 * gib}},
		{"to the most", 3 * gib, &MoreMemory{2, 10 * gib}, 9, []int64{3 * gib, 6 * gib, 10 * gib}},
		{"no more than attempts", 1 * gib, &MoreMemory{2, 100 * gib}, 3, []int64{1 * gib, 2 * gib, 4 * gib}},
		{"of nothing", 0, &MoreMemory{2, 10 * gib}, 5, []int64{0}},
		{"less", 4 * gib, &MoreMemory{2, 2 * gib}, 5, []int64{4 * gib}},
		{"a factor that rounds to nothing", 1, &MoreMemory{1.1, 10}, 5, []int64{1}},
		{"beyond all numbers", 1 << 62, &MoreMemory{64, 1<<63 - 1}, 5, []int64{1 << 62, 1<<63 - 1}},
	} {
		task := Task{Resources: Resources{Memory: c.memory}, OnOutOfMemory: c.more, Retries: Retries{Attempts: c.tries}}
		if got := task.MemoryTiers(); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, not %v", c.name, got, c.want)
		}
	}
}
