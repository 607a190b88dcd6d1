package providertest

import (
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

var (
	validName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)
	validAttr = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	validType = regexp.MustCompile(`^(list\(|map\(|set\()*(string|number|bool|duration|size)\)*$`)
)

// describe: what the provider says of itself is usable, and the same twice.
func (s *suite) describe(t node) {
	d, err := s.provider.Describe(t.Context())
	must(t, "Describe", err)
	s.description = d
	if !validName.MatchString(d.Name) {
		t.Errorf("Name %q: want lower-case letters, digits and '-', a letter first", d.Name)
	}
	if d.Version == "" {
		t.Errorf("Version is empty")
	}
	if d.TokenWindow < time.Minute {
		t.Errorf("TokenWindow is %s; want at least a minute", d.TokenWindow)
	}
	for name, value := range map[string]time.Duration{
		"ListLag": d.ListLag, "Pace": d.Pace, "BootTimeout": d.BootTimeout, "IdleTimeout": d.IdleTimeout,
	} {
		if value < 0 {
			t.Errorf("%s is negative: %s", name, value)
		}
	}
	checkSchema(t, "config", d.Schema)
	checkLeave(t, d.Leave)
	if d.Notice != nil {
		checkNotice(t, *d.Notice)
	}
	if d.Has(providers.CapabilityConsole) {
		if _, ok := s.provider.(providers.Console); !ok {
			t.Errorf("capability %q without providers.Console", providers.CapabilityConsole)
		}
	}
	if d.Has(providers.CapabilityPreempt) {
		if _, ok := s.provider.(providers.Preempter); !ok {
			t.Errorf("capability %q without providers.Preempter", providers.CapabilityPreempt)
		}
	}
	if d.Has(providers.CapabilityChecks) {
		if _, ok := s.provider.(providers.Checker); !ok {
			t.Errorf("capability %q without providers.Checker", providers.CapabilityChecks)
		}
	}
	again, err := s.provider.Describe(t.Context())
	must(t, "Describe, repeated", err)
	if !reflect.DeepEqual(d, again) {
		t.Errorf("Describe says something else the second time:\n%+v\n%+v", d, again)
	}
	s.describeOffline(t, d)
}

// describeOffline: job files are checked on machines that reach no cloud.
func (s *suite) describeOffline(t T, d providers.Description) {
	t.Helper()
	if s.Offline == nil {
		return
	}
	alone, err := s.Offline(t).Describe(t.Context())
	if err != nil {
		t.Errorf("Describe without network and credentials: %v; it must need neither", err)
		return
	}
	if !reflect.DeepEqual(d, alone) {
		t.Errorf("Describe says something else without network and credentials:\n%+v\n%+v", d, alone)
	}
}

func checkSchema(t T, path string, schema providers.Schema) {
	seen := map[string]bool{}
	unique := func(name string) {
		if !validAttr.MatchString(name) {
			t.Errorf("schema: %s: %q is no name for an attribute or block", path, name)
		}
		if seen[name] {
			t.Errorf("schema: %s: %q is there twice", path, name)
		}
		seen[name] = true
	}
	for _, a := range schema.Attributes {
		unique(a.Name)
		where := path + "." + a.Name
		if !typeIsValid(a.Type) {
			t.Errorf("schema: %s: type %q is none of string, number, bool, duration, size, list(...), set(...), map(...)", where, a.Type)
		}
		if a.Description == "" {
			t.Errorf("schema: %s has no description", where)
		}
		if a.Required && a.Default != nil {
			t.Errorf("schema: %s is required and has a default", where)
		}
		if a.Default != nil && !json.Valid(a.Default) {
			t.Errorf("schema: %s: the default %q is no JSON", where, a.Default)
		}
		if len(a.OneOf) > 0 && a.Type != "string" {
			t.Errorf("schema: %s: one_of is for strings, not %s", where, a.Type)
		}
		checkDefaultAmong(t, where, a)
	}
	for _, b := range schema.Blocks {
		unique(b.Type)
		if b.Description == "" {
			t.Errorf("schema: %s.%s has no description", path, b.Type)
		}
		if b.Max < 0 {
			t.Errorf("schema: %s.%s: max is negative", path, b.Type)
		}
		checkSchema(t, path+"."+b.Type, b.Schema)
	}
}

func typeIsValid(text string) bool {
	if !validType.MatchString(text) {
		return false
	}
	depth := 0
	for _, c := range text {
		switch c {
		case '(':
			depth++
		case ')':
			depth--
		}
	}
	return depth == 0
}

func checkDefaultAmong(t T, where string, a providers.Attribute) {
	if len(a.OneOf) == 0 || a.Default == nil {
		return
	}
	var value string
	if err := json.Unmarshal(a.Default, &value); err != nil || !slices.Contains(a.OneOf, value) {
		t.Errorf("schema: %s: the default %s is none of %q", where, a.Default, a.OneOf)
	}
}

func checkLeave(t T, leave providers.Leave) {
	switch leave.Means {
	case providers.LeaveExit, providers.LeavePowerOff, providers.LeaveNone:
	case providers.LeaveRequest:
		if leave.Method == "" || leave.URL == "" {
			t.Errorf("Leave by request without a method and a URL: %+v", leave)
		}
	case providers.LeaveCommand:
		if len(leave.Command) == 0 {
			t.Errorf("Leave by command without a command")
		}
	default:
		t.Errorf("Leave.Means is %q; it must be said, there is no default", leave.Means)
	}
}

func checkNotice(t T, probe providers.NoticeProbe) {
	if len(probe.Sources) == 0 {
		t.Errorf("Notice has no sources; leave it nil if an agent cannot see an interruption coming")
	}
	if probe.Token != nil && (probe.Token.Method == "" || probe.Token.URL == "" || probe.Token.Header == "") {
		t.Errorf("Notice.Token needs a method, a URL and a header: %+v", *probe.Token)
	}
	for _, source := range probe.Sources {
		if source.Name == "" || source.URL == "" {
			t.Errorf("a notice source has no name or no URL: %+v", source)
		}
		if !slices.Contains([]string{"interruption", "maintenance", "rebalance"}, source.Kind) {
			t.Errorf("notice source %s: kind %q is none of interruption, maintenance, rebalance", source.Name, source.Kind)
		}
		if source.Interval <= 0 {
			t.Errorf("notice source %s: the interval must be positive", source.Name)
		}
		if source.Hang && source.HangQuery == "" {
			t.Errorf("notice source %s: a hanging GET needs its query", source.Name)
		}
	}
}
