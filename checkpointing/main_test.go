package checkpointing

import (
	"fmt"
	"os"
	"testing"
)

// roleEnv makes the test binary a process that a test kills.
const roleEnv = "SPOTRELAY_CHECKPOINTING_ROLE"

func TestMain(m *testing.M) {
	var err error
	switch role := os.Getenv(roleEnv); role {
	case "":
		os.Exit(m.Run())
	case "save":
		err = saveForever(os.Args[1], os.Args[2], os.Args[3])
	case "restore":
		err = restoreForever(os.Args[1], os.Args[2])
	case "serve":
		err = serve(os.Args[1])
	default:
		err = fmt.Errorf("unknown role %q", role)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
