package jobspec

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	hcljson "github.com/hashicorp/hcl/v2/json"
	"github.com/zclconf/go-cty/cty"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

// localFleet is the fleet that is there without being declared.
const localFleet = "local"

// fleet is a declared fleet on its way into the spec.
type fleet struct {
	c        *content // nil for the embedded default
	name     string
	provider string
	at       hcl.Range // of the provider's name
	from     *configLayer
	bucket   string // that the fleet file names
	used     bool
}

// fleetFileAttributes are those of a fleet file.
var fleetFileAttributes = []string{"version", "provider", "bucket", "config"}

// declareFleets reads which fleets there are; their configs are read later,
// when it is known which are used.
func (l *loader) declareFleets(top *content) {
	for _, c := range top.named(providerSchema) {
		l.checkName("provider", c.label, c.labelRange)
		if before, again := l.providers[c.label]; again {
			l.duplicate("provider", c, before)
			continue
		}
		l.providers[c.label] = c
	}
	for _, c := range top.named(fleetSchema) {
		l.checkName("fleet", c.label, c.labelRange)
		if before, again := l.fleets[c.label]; again {
			l.duplicate("fleet", c, before.c)
			continue
		}
		f := &fleet{c: c, name: c.label}
		l.fleets[f.name] = f
		l.fleetOrder = append(l.fleetOrder, f)
		leave := l.within(c.title())
		l.readProvider(f)
		leave()
	}
}

// readProvider reads provider and from of a fleet.
func (l *loader) readProvider(f *fleet) {
	s := scope{ctx: l.ctx}
	st := l.setting(fleetSchema, "provider", s, f.c)
	f.provider, _ = st.text()
	f.at = st.where
	from := l.setting(fleetSchema, "from", s, f.c)
	if path, ok := from.text(); ok {
		provider, bucket, layer := l.readFleetFile(path, from.where)
		f.from, f.bucket = layer, bucket
		if f.provider == "" {
			f.provider, f.at = provider, from.where
		} else if provider != "" && provider != f.provider {
			l.report(report{at: f.at, summary: "Provider and fleet file disagree", detail: fmt.Sprintf("The file %s is of the provider %q, not %q.", path, provider, f.provider)})
		}
	}
	if !st.given() && !from.given() {
		l.report(report{at: f.c.header, summary: "A fleet without a provider", detail: `Write provider = "local", or from = "FILE" for a fleet file.`})
	}
}

// readFleetFile reads what a Terraform module wrote. Empty after a report.
func (l *loader) readFleetFile(path string, where hcl.Range) (provider, bucket string, config *configLayer) {
	name := path
	if !filepath.IsAbs(name) {
		name = filepath.Join(l.folder, name)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		l.report(report{at: where, summary: "Cannot read the fleet file", detail: fmt.Sprintf("%v. The path is relative to the job file.", err)})
		return "", "", nil
	}
	if _, known := l.order[name]; !known {
		l.order[name] = len(l.order)
	}
	l.sources[name] = text
	file, diags := hcljson.Parse(text, name)
	l.adopt(diags, startOf(name))
	if diags.HasErrors() || file == nil {
		return "", "", nil
	}
	attrs, diags := file.Body.JustAttributes()
	l.adopt(diags, startOf(name))
	for _, key := range keysOf(attrs) {
		if !slices.Contains(fleetFileAttributes, key) {
			l.report(report{at: attrs[key].NameRange, summary: fmt.Sprintf("Unknown attribute %q", key),
				detail: "A fleet file has version, provider, bucket and config.", suggestion: nearest(key, fleetFileAttributes)})
		}
	}
	if !l.checkFleetVersion(attrs, name) {
		return "", "", nil
	}
	if attr, ok := attrs["provider"]; ok {
		provider, _ = textOf(l.evaluate(attr.Expr, scope{}))
	}
	if provider == "" {
		l.report(report{at: startOf(name), summary: "A fleet file without a provider", detail: `It has the form {"version": 1, "provider": "aws", "config": {...}}.`})
	}
	if attr, ok := attrs["bucket"]; ok {
		if bucket, ok = textOf(l.evaluate(attr.Expr, scope{})); !ok || strings.TrimSpace(bucket) == "" {
			l.report(report{at: attr.Expr.Range(), summary: "A fleet file's bucket is no text", detail: `It is a bucket's address, such as "s3://acme-batch/spotrelay"; leave it out where there is none.`})
		}
	}
	if attr, ok := attrs["config"]; ok {
		config = l.layerOfJSON(attr.Expr)
	}
	return provider, bucket, config
}

// fleetsBucket is the bucket of a job that names none: that of the first of its
// fleets whose fleet file has one.
func (l *loader) fleetsBucket(names []string) string {
	for _, name := range names {
		if bucket := l.fleets[name].bucket; bucket != "" {
			return bucket
		}
	}
	return ""
}

func (l *loader) checkFleetVersion(attrs hcl.Attributes, name string) bool {
	where := startOf(name)
	if attr, ok := attrs["version"]; ok {
		where = attr.Expr.Range()
		if version, fault := wholeOf(l.evaluate(attr.Expr, scope{}), 1, 1); fault == "" && version == 1 {
			return true
		}
	}
	l.report(report{at: where, summary: "Unknown version of the fleet file", detail: `This spotrelay reads fleet files with "version": 1.`})
	return false
}

// readFleetNames reads a list of fleets; without one, the base.
func (l *loader) readFleetNames(st setting, base []string) []string {
	list, ok := st.list()
	if !ok {
		return base
	}
	if len(list) == 0 {
		st.invalid(st.where, "name a fleet, or leave %q out", st.schema.name)
		return base
	}
	var names []string
	for _, item := range list {
		switch {
		case slices.Contains(names, item.text):
			l.report(report{at: item.at, summary: fmt.Sprintf("Fleet %q is named twice", item.text), detail: "Fleets are tried in their order. Remove one of them."})
		case l.useFleet(item.text):
			names = append(names, item.text)
		default:
			l.report(report{at: item.at, summary: fmt.Sprintf("Unknown fleet %q", item.text),
				detail:     fmt.Sprintf("The file declares no fleet %q.", item.text),
				suggestion: nearest(item.text, append(keysOf(l.fleets), localFleet))})
		}
	}
	if len(names) == 0 {
		return base
	}
	return names
}

// useFleet notes that a fleet is used; false when there is none of the name.
// The embedded default comes to be by its use.
func (l *loader) useFleet(name string) bool {
	f := l.fleets[name]
	if f == nil && name == localFleet {
		f = &fleet{name: localFleet, provider: localFleet}
		l.fleets[name] = f
		l.fleetOrder = append(l.fleetOrder, f)
	}
	if f != nil {
		f.used = true
	}
	return f != nil
}

// defaultFleets are those of a job that names none.
func (l *loader) defaultFleets() []string {
	var names []string
	for _, f := range l.fleetOrder {
		names = append(names, f.name)
	}
	if len(names) == 0 {
		names = []string{localFleet}
	}
	for _, name := range names {
		l.useFleet(name)
	}
	return names
}

// describe asks for a provider's description, once; nil when nobody can tell.
func (l *loader) describe(provider string) (*providers.Description, error) {
	if l.opts.Describe == nil || provider == "" {
		return nil, nil
	}
	if known, ok := l.described[provider]; ok {
		return known.description, known.err
	}
	description, err := l.opts.Describe(provider)
	answer := described{&description, err}
	if err != nil {
		answer.description = nil
	}
	l.described[provider] = answer
	return answer.description, err
}

// described is a provider's answer.
type described struct {
	description *providers.Description
	err         error
}

// readFleets reads the configs of all fleets, and gives the used ones in order
// of preference.
func (l *loader) readFleets(order []string) []job.Fleet {
	configs := map[string]json.RawMessage{}
	for _, f := range l.fleetOrder {
		configs[f.name] = l.readConfig(f)
	}
	var fleets []job.Fleet
	for _, name := range order {
		fleets = append(fleets, job.Fleet{Name: name, Provider: l.fleets[name].provider, Config: configs[name]})
	}
	return fleets
}

// readConfig reads a fleet's config against its provider's schema.
func (l *loader) readConfig(f *fleet) json.RawMessage {
	ranges := fleetRanges{paths: map[string]hcl.Range{}}
	layers := l.configLayers(f)
	if f.c != nil {
		defer l.within(f.c.title())()
		ranges.fleet = f.c.header
	}
	description, err := l.describe(f.provider)
	if err != nil && f.used {
		where := f.at
		if f.c == nil {
			where = l.jobHeader
		}
		l.report(report{at: where, summary: fmt.Sprintf("Provider %q is not available", f.provider), detail: sentence(err.Error())})
	}
	reader := &configReader{l: l, ranges: ranges.paths}
	var values map[string]any
	if description == nil {
		values = reader.unchecked(layers)
	} else {
		values = reader.checked(description.Schema, layers, ranges.fleet, nil)
	}
	l.configs[f.name] = ranges
	data, err := json.Marshal(values)
	if err != nil { // strings, numbers, bools, lists and maps alone: cannot happen
		panic(err)
	}
	return data
}

// configLayers are where a fleet's config comes from, the nearest first.
func (l *loader) configLayers(f *fleet) []*configLayer {
	var layers []*configLayer
	if c := f.c.first(configSchema); c != nil {
		layers = append(layers, l.layerOfBody(c.body, c.header))
	}
	if f.from != nil {
		layers = append(layers, f.from)
	}
	if c := l.providers[f.provider]; c != nil {
		layers = append(layers, l.layerOfBody(c.body, c.header))
	}
	return layers
}

// checkCapabilities warns where the last attempts cannot run on-demand.
func (l *loader) checkCapabilities(t *task, task job.Task, block *content) {
	if task.Retries.OnDemandAttempts == 0 {
		return
	}
	where := t.c.header
	if st := l.setting(retriesSchema, "on_demand_attempts", scope{ctx: l.ctx}, t.c.first(retriesSchema), block.first(retriesSchema)); st.given() {
		where = st.where
	}
	for _, name := range task.Fleets {
		description, err := l.describe(l.fleets[name].provider)
		if err != nil || description == nil || description.Has(providers.CapabilityOnDemand) {
			return
		}
	}
	defer l.within(t.c.title())()
	l.report(report{at: where, warning: true, summary: "No on-demand instances in these fleets",
		detail: fmt.Sprintf("The last %d of %d attempts run on-demand, but no provider of its fleets offers that. Set on_demand_attempts = 0, or add a fleet.", task.Retries.OnDemandAttempts, task.Retries.Attempts)})
}

// suggestedTiming is the longest that the providers of the used fleets ask
// for, where one that asks for nothing has the usual.
func (l *loader) suggestedTiming(usual time.Duration, of func(*providers.Description) time.Duration) time.Duration {
	var longest time.Duration
	for _, f := range l.fleetOrder {
		if !f.used {
			continue
		}
		period := usual
		if description, err := l.describe(f.provider); err == nil && description != nil && of(description) > 0 {
			period = of(description)
		}
		longest = max(longest, period)
	}
	return longest
}

// jsonValue is a value as encoding/json takes it; numbers keep their digits.
func jsonValue(value cty.Value) any {
	switch {
	case value.IsNull():
		return nil
	case value.Type() == cty.String:
		return value.AsString()
	case value.Type() == cty.Number:
		return json.Number(value.AsBigFloat().Text('f', -1))
	case value.Type() == cty.Bool:
		return value.True()
	case isListLike(value):
		list := []any{}
		for it := value.ElementIterator(); it.Next(); {
			_, element := it.Element()
			list = append(list, jsonValue(element))
		}
		return list
	}
	members := map[string]any{}
	for name, element := range maps.All(value.AsValueMap()) {
		members[name] = jsonValue(element)
	}
	return members
}
