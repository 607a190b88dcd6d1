package agent

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseOOM(t *testing.T) {
	for _, test := range []struct {
		name, data string
		want       int64
	}{
		{"version 2", "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n", 2},
		{"version 2, a group", "oom 1\noom_kill 0\noom_group_kill 1\n", 1},
		{"version 1", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n", 1},
		{"version 1 of old kernels", "oom_kill_disable 0\nunder_oom 0\n", 0},
		{"nothing", "", 0},
		{"not numbers", "oom_kill many\noom_kill\n\n", 0},
	} {
		if got := parseOOM([]byte(test.data)); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}

func TestParseCgroups(t *testing.T) {
	for _, test := range []struct {
		name, mounts, own string
		want              hierarchies
	}{
		{
			"unified", "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n", "0::/system.slice/spotrelay.service\n",
			hierarchies{unified: []string{"/sys/fs/cgroup/system.slice/spotrelay.service", "/sys/fs/cgroup"}},
		},
		{
			"hybrid", "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n36 31 0:33 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n",
			"4:memory:/a/b\n1:cpu:/\n0::/\n",
			hierarchies{unified: []string{"/sys/fs/cgroup/unified"}, memory: []string{"/sys/fs/cgroup/memory/a/b", "/sys/fs/cgroup/memory"}},
		},
		{
			"a mount of a part", "35 31 0:32 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n", "4:memory:/docker/abc/x\n",
			hierarchies{memory: []string{"/sys/fs/cgroup/memory/x", "/sys/fs/cgroup/memory"}},
		},
		{
			"outside of the mount", "35 31 0:32 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n", "4:memory:/elsewhere\n",
			hierarchies{memory: []string{"/sys/fs/cgroup/memory"}},
		},
		{"nonsense", "x\n1 2 - \n - cgroup2\n", "x\n4:memory\n", hierarchies{}},
	} {
		if diff := cmp.Diff(test.want, parseCgroups(test.mounts, test.own), cmp.AllowUnexported(hierarchies{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}
