package plugins_test

import (
	"net"
	"strings"
	"testing"

	"github.com/spotrelay/spotrelay/plugins"
	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/providers/providertest/memory"
)

func TestOffline(t *testing.T) {
	t.Setenv("CLOUD_SECRET", "a secret")
	manager, _ := manage(t, nil)
	online := scriptedProvider(t, manager)
	offline, err := manager.Offline(online)
	if err != nil {
		t.Fatal(err)
	}
	environment := func(provider providers.Provider) string {
		variables, err := provider.List(t.Context(), fleet("environment", ""), nil)
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		for _, variable := range variables {
			text.WriteString(variable.ID + "\n")
		}
		return text.String()
	}
	if text := environment(online); !strings.Contains(text, "a secret") {
		t.Errorf("a plugin does not have the environment's credentials:\n%s", text)
	}
	if text := environment(offline); strings.Contains(text, "a secret") || !strings.Contains(text, "PATH=") {
		t.Errorf("offline a plugin has the environment\n%s", text)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	dial := fleet("dial", listener.Addr().String())
	if _, err := online.List(t.Context(), dial, nil); err != nil {
		t.Errorf("online: %v", err)
	}
	if _, err := offline.List(t.Context(), dial, nil); (err == nil) == plugins.Namespaces() {
		t.Errorf("offline, with namespaces %v, dialling gives %v", plugins.Namespaces(), err)
	}
	if _, err := manager.Offline(memory.New()); err == nil {
		t.Error("a provider that is no plugin was taken offline")
	}
}
