package startup

import (
	"bytes"
	"compress/gzip"
	"fmt"
)

// MaxUserData is the most that EC2 takes, in bytes before base64 (Amazon EC2
// User Guide, "Run commands when you launch an EC2 instance").
const MaxUserData = 16 << 10

// UserData is a script as EC2's user data: itself if that is short enough, and
// otherwise compressed, which cloud-init undoes on Ubuntu, Debian and Amazon
// Linux (cloud-init's documentation, "User data formats", gzip). What is still
// too long is an error.
func UserData(script []byte) ([]byte, error) {
	if len(script) <= MaxUserData {
		return script, nil
	}
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(script); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if packed.Len() > MaxUserData {
		return nil, fmt.Errorf("the start script has %d bytes, %d when compressed, and EC2 takes %d: the agent's environment is too large", len(script), packed.Len(), MaxUserData)
	}
	return packed.Bytes(), nil
}
