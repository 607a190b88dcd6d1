package checkpointing

import (
	"os"
	"strings"
	"sync"
)

// place names this boot of this machine: as long as it lasts a file that has
// the device, inode, ctime, time and size that it had is as it was. It is the
// digest of the kernel's own boot_id (random(4)), "" where there is none.
var place = sync.OnceValue(func() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil || strings.TrimSpace(string(id)) == "" {
		return ""
	}
	return digestOf([]byte("spotrelay boot " + strings.TrimSpace(string(id)))).String()[:32]
})
