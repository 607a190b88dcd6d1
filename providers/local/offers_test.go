//go:build linux || darwin

package local

import (
	"runtime"
	"slices"
	"testing"

	"github.com/spotrelay/spotrelay/providers"
)

func TestOffers(t *testing.T) {
	p := New(Options{StateDir: t.TempDir()})
	gpus := `{"zones": ["a", "b"], "spot_price": 1, "on_demand_price": 3, "max_instances": 5, "offer": [
		{"instance_type": "plain", "cpus": 2, "memory": "1GiB"},
		{"instance_type": "gpu", "cpus": 8, "memory": "4GiB", "gpus": 2, "gpu_type": "a100", "zone": "b", "spot_price": 9, "limit": 3}]}`
	cases := []struct {
		name, config string
		need         providers.Need
		want         []string // zone/type/capacity
	}{
		{"the machine", `{"zones": ["z"]}`, providers.Need{CPUs: float64(runtime.NumCPU()), Memory: machineMemory(), Arch: runtime.GOARCH}, []string{"z/local.large/spot", "z/local.large/on-demand"}},
		{"a small one is enough", `{"zones": ["z"]}`, providers.Need{CPUs: 1}, []string{"z/local.small/spot", "z/local.small/on-demand", "z/local.large/spot", "z/local.large/on-demand"}},
		{"more than the machine", `{}`, providers.Need{Memory: machineMemory() + 1}, nil},
		{"another architecture", `{}`, providers.Need{Arch: "pdp11"}, nil},
		{"no such disk", `{}`, providers.Need{Disk: 1 << 60}, nil},
		{"all", gpus, providers.Need{}, []string{"a/plain/spot", "a/plain/on-demand", "b/plain/spot", "b/plain/on-demand", "b/gpu/spot", "b/gpu/on-demand"}},
		{"gpus", gpus, providers.Need{GPUs: 1, GPUType: "a100"}, []string{"b/gpu/spot", "b/gpu/on-demand"}},
		{"other gpus", gpus, providers.Need{GPUs: 1, GPUType: "h100"}, nil},
	}
	for _, c := range cases {
		offers, err := p.Offers(t.Context(), providers.Fleet{Name: "f", Config: []byte(c.config)}, c.need)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, o := range offers {
			got = append(got, o.Zone+"/"+o.InstanceType+"/"+string(o.Capacity))
			if o.Limit < 1 || o.Memory < 1 || o.Price <= 0 {
				t.Errorf("%s: %+v", c.name, o)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	offers, err := p.Offers(t.Context(), providers.Fleet{Config: []byte(gpus)}, providers.Need{GPUs: 1})
	if err != nil {
		t.Fatal(err)
	}
	if o := offers[0]; o.Price != 9 || o.Limit != 3 {
		t.Errorf("the GPU offer: %+v", o)
	}
	if o := offers[1]; o.Price != 24 {
		t.Errorf("its on-demand price: %v, want 8 CPUs at 3", o.Price)
	}
}
