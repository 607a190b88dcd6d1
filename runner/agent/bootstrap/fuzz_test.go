package bootstrap

import "testing"

// FuzzDecode: what stands in an agent's environment is a configuration that can
// be written again, or refused.
func FuzzDecode(f *testing.F) {
	f.Add(`{"version":1,"bucket":"file:///b","run":"r","slots":1,"timing":{"heartbeat":"1s"},"leave":{"means":"exit"}}`)
	f.Add(`{"version":2}`)
	f.Add(`{"version":1,"notice":{"sources":[{"absent":[404]}]}}`)
	f.Fuzz(func(t *testing.T, value string) {
		c, err := Decode(value)
		if err != nil {
			return
		}
		again, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Decode(again); err != nil {
			t.Fatalf("%s is refused: %v", again, err)
		}
	})
}
