package aws

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/providers/aws/ec2test"
)

// types of offers, each once.
func typesOf(offers []providers.Offer) []string {
	var names []string
	for _, o := range offers {
		names = append(names, o.InstanceType)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func TestOffersServeTheNeed(t *testing.T) {
	const arm, gpu = "c7g.large", "g4dn.xlarge"
	for name, c := range map[string]struct {
		config string
		need   providers.Need
		want   []string
	}{
		"anything":             {"", providers.Need{CPUs: 4}, []string{"c6i.2xlarge", "c7g.xlarge", "m5.xlarge", "r5.2xlarge"}},
		"memory":               {"", providers.Need{Memory: 16 << 30}, []string{"c6i.2xlarge", "m5.xlarge", "r5.2xlarge"}},
		"an architecture":      {"", providers.Need{Arch: "arm64"}, []string{arm, "c7g.xlarge"}},
		"an image for one":     {`{"image": "` + ec2test.ImageX86 + `"}`, providers.Need{CPUs: 8}, []string{"c6i.2xlarge", "r5.2xlarge"}},
		"the task's image":     {"", providers.Need{Arch: "arm64", Image: ec2test.ImageX86}, nil},
		"GPUs":                 {"", providers.Need{GPUs: 1}, []string{"g4dn.xlarge", "g5.xlarge", "p4d.24xlarge"}},
		"a model":              {"", providers.Need{GPUs: 1, GPUType: "T4"}, []string{gpu}},
		"a model by its maker": {"", providers.Need{GPUs: 1, GPUType: "nvidia-tesla-t4"}, []string{gpu}},
		"a model and memory":   {"", providers.Need{GPUs: 1, GPUType: "a100-40gb"}, []string{"p4d.24xlarge"}},
		"other memory":         {"", providers.Need{GPUs: 1, GPUType: "a100-80gb"}, nil},
		"globs":                {`{"instance_types": ["m5.*", "t3.*"]}`, providers.Need{}, []string{"m5.large", "m5.metal", "m5.xlarge", "t3.small"}},
		"globs and exceptions": {`{"instance_types": ["m5.*"], "exclude_types": ["*.metal"]}`, providers.Need{}, []string{"m5.large", "m5.xlarge"}},
		"a disk":               {"", providers.Need{CPUs: 8, Disk: 4 << 40}, []string{"c6i.2xlarge", "r5.2xlarge"}},
		"no such disk":         {"", providers.Need{Disk: 17 << 40}, nil},
		"a price":              {`{"max_price": 0.0340}`, providers.Need{}, []string{"c5.large", arm}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, ec2test.Options{}, c.config)
			offers := r.offers(c.need, providers.Spot)
			if got := typesOf(offers); !slices.Equal(got, c.want) {
				t.Errorf("%q; want %q", got, c.want)
			}
			for _, o := range offers {
				if c.need.GPUType != "" && o.GPUType != c.need.GPUType {
					t.Errorf("the GPU is named %q; asked for %q", o.GPUType, c.need.GPUType)
				}
			}
		})
	}
}

// TestOffersAreKept: a second question costs no call.
func TestOffersAreKept(t *testing.T) {
	r := newRig(t, ec2test.Options{}, `{"max_instances": 7}`)
	all := r.offers(providers.Need{}, providers.Spot)
	before := len(r.cloud.Calls(""))
	again := r.offers(providers.Need{CPUs: 4}, providers.Spot)
	if after := len(r.cloud.Calls("")); after != before || before == 0 {
		t.Errorf("%d calls, then %d", before, after)
	}
	if len(again) == 0 || len(again) >= len(all) {
		t.Errorf("%d offers, then %d", len(all), len(again))
	}
	for _, o := range all {
		if o.FleetLimit != 7 {
			t.Errorf("the fleet's bound is missing: %+v", o)
		}
	}
}

// TestQuotas: they bound the offers of their families and capacity types; with
// no room for one there is no offer.
func TestQuotas(t *testing.T) {
	r := newRig(t, ec2test.Options{}, "")
	r.cloud.SetQuota("L-34B43A08", 10) // standard, spot
	r.cloud.SetQuota("L-3819A6DF", 0)  // G and VT, spot
	for _, o := range r.offers(providers.Need{}, providers.Spot) {
		if want := 10 / int(o.CPUs); o.Limit != want {
			t.Errorf("%s has limit %d; want %d", o.InstanceType, o.Limit, want)
		}
	}
	if got := typesOf(r.offers(providers.Need{GPUs: 1}, providers.Spot)); !slices.Equal(got, []string{"p4d.24xlarge"}) {
		t.Errorf("%q", got)
	}
	if got := typesOf(r.offers(providers.Need{GPUs: 1}, providers.OnDemand)); len(got) != 3 {
		t.Errorf("on-demand: %q", got)
	}
	r.provider = r.anew()
	r.cloud.Deny("servicequotas:ListServiceQuotas")
	for _, o := range r.offers(providers.Need{GPUs: 1}, providers.Spot) {
		if o.Limit != 0 {
			t.Errorf("a limit that nobody told: %+v", o)
		}
	}
	if got := typesOf(r.offers(providers.Need{GPUs: 1}, providers.Spot)); len(got) != 3 {
		t.Errorf("unknown quotas leave out: %q", got)
	}
}

func TestQuotaCodes(t *testing.T) {
	for name, want := range map[string]string{
		"m7i.large": "L-34B43A08", "trn1.2xlarge": "L-6B0D517C", "t3.small": "L-34B43A08", "p5.48xlarge": "L-7212CCBC", "g6.xlarge": "L-3819A6DF",
		"inf2.xlarge": "L-B5D1601B", "i4i.large": "L-34B43A08", "dl1.24xlarge": "L-85EED4F7", "d3.xlarge": "L-34B43A08", "x2idn.16xlarge": "L-E3A00192",
		"vt1.3xlarge": "L-3819A6DF", "f1.2xlarge": "L-88CF9481", "hpc7a.12xlarge": "", "u-6tb1.metal": "",
	} {
		if got := quotaCode(name, providers.Spot); got != want {
			t.Errorf("%s counts against %q; want %q", name, got, want)
		}
	}
}

// TestPrices: the price list is asked for once a day, over restarts; without it
// the last one serves, and then the built-in table.
func TestPrices(t *testing.T) {
	r := newRig(t, ec2test.Options{}, "")
	price := func() map[string]float64 {
		prices := map[string]float64{}
		for _, o := range r.offers(providers.Need{}, providers.OnDemand) {
			prices[o.InstanceType] = o.Price
		}
		return prices
	}
	asked := price()
	if asked["m5.large"] != 0.096 || asked["i3.large"] != 0.156 {
		t.Fatalf("%v", asked)
	}
	calls := len(r.cloud.Calls("GetProducts"))
	r.provider = r.anew()
	if price(); len(r.cloud.Calls("GetProducts")) != calls {
		t.Error("the price list was asked for again after a restart")
	}
	r.ageOfPrices(2 * priceListLife)
	r.provider = r.anew()
	r.cloud.Deny("pricing:GetProducts")
	if old := price(); old["i3.large"] != 0.156 {
		t.Errorf("the last list does not serve: %v", old)
	}
	r.ageOfPrices(2 * priceListMost)
	r.provider = r.anew()
	builtIn := price()
	if builtIn["m5.large"] != 0.096 || builtIn["c7g.xlarge"] != 0.145 {
		t.Errorf("the built-in table does not serve: %v", builtIn)
	}
	if _, ok := builtIn["i3.large"]; ok {
		t.Error("a price from nowhere")
	}
	faults, err := r.provider.Check(t.Context(), r.fleet)
	if err != nil || len(faults) != 1 || faults[0].Severity != providers.SeverityWarning || !strings.Contains(faults[0].Detail, builtInDate) {
		t.Errorf("the built-in table is used, and Check says %+v, %v", faults, err)
	}
}

// ageOfPrices makes the kept price list so old.
func (r *rig) ageOfPrices(age time.Duration) {
	r.t.Helper()
	files, err := filepath.Glob(filepath.Join(r.cache, "*.json"))
	if err != nil || len(files) != 1 {
		r.t.Fatalf("kept price lists: %q, %v", files, err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		r.t.Fatal(err)
	}
	var list priceList
	if err := json.Unmarshal(data, &list); err != nil {
		r.t.Fatal(err)
	}
	list.Fetched = time.Now().Add(-age)
	if data, err = json.Marshal(list); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(files[0], data, 0o644); err != nil {
		r.t.Fatal(err)
	}
}

// TestBrokenPriceFile: a kept list that cannot be read is as none.
func TestBrokenPriceFile(t *testing.T) {
	r := newRig(t, ec2test.Options{}, "")
	r.offers(providers.Need{}, providers.OnDemand)
	files, _ := filepath.Glob(filepath.Join(r.cache, "*.json"))
	for _, text := range []string{"", "{", `{"version":9}`, `{"version":1,"source":"elsewhere","prices":{"m5.large":1}}`} {
		if err := os.WriteFile(files[0], []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		r.provider = r.anew()
		if offers := r.offers(providers.Need{}, providers.OnDemand, "m5.large"); len(offers) == 0 || offers[0].Price != 0.096 {
			t.Errorf("with %q kept: %+v", text, offers)
		}
	}
}

func TestBuiltInPrices(t *testing.T) {
	for name, want := range map[string]float64{
		"m5.large": 0.096, "m5.24xlarge": 4.608, "c7g.medium": 0.03625, "t3.nano": 0.0052, "g4dn.xlarge": 0.526,
		"m5.metal": 0, "m5": 0, "nosuch.large": 0, "m5.0xlarge": 0, "m5.xlargexlarge": 0, ".large": 0,
	} {
		got, ok := builtInPrice(name)
		if ok != (want > 0) || ok && (got < want*0.9999 || got > want*1.0001) {
			t.Errorf("%s: %v, %v; want %v", name, got, ok, want)
		}
	}
}

// FuzzProduct: no entry of the price list breaks the reader or gives a price
// that is none.
func FuzzProduct(f *testing.F) {
	f.Add([]byte(`{"product":{"attributes":{"instanceType":"m5.large"}},"terms":{"OnDemand":{"a":{"priceDimensions":{"b":{"unit":"Hrs","pricePerUnit":{"USD":"0.0960000000"}}}}}}}`))
	f.Add([]byte(`{"product":{"attributes":{"instanceType":"m5.large"}},"terms":{"OnDemand":{"a":{"priceDimensions":{"b":{"unit":"Hrs","pricePerUnit":{"USD":"NaN"}}}}}}}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if name, price, ok := readProduct(data); ok && (name == "" || !(price > 0) || price > 1e6) {
			t.Errorf("%q costs %v", name, price)
		}
	})
}
