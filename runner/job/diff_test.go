package job

import (
	"encoding/json"
	"reflect"
	"testing"
)

// fill sets every field below a value to something that is not its zero.
func fill(v reflect.Value, depth int) {
	if depth > 12 {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), depth+1)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(v.Field(i), depth+1)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		if v.Type() == reflect.TypeFor[json.RawMessage]() {
			v.SetBytes([]byte(`{}`))
			return
		}
		fill(v.Index(0), depth+1)
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, depth+1)
		fill(value, depth+1)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint64:
		v.SetUint(7)
	case reflect.Float64:
		v.SetFloat(7)
	case reflect.Interface:
		v.Set(reflect.ValueOf("x"))
	}
}

func filled() *Spec {
	spec := &Spec{}
	fill(reflect.ValueOf(spec).Elem(), 0)
	return spec
}

// What CopyLimits copies and what IsLimit calls a limit are the same fields,
// also of those that are added later.
func TestLimitsAreWhatMayDiffer(t *testing.T) {
	full := filled()
	empty := &Spec{Tasks: []Task{{Name: "x"}}}
	differences, err := Diff(empty, full)
	if err != nil {
		t.Fatal(err)
	}
	limits := map[string]bool{}
	for i := range differences {
		if differences[i].IsLimit() {
			limits[differences[i].Task+":"+differences[i].Field()] = true
		}
	}
	if len(limits) < 10 {
		t.Errorf("limits are %v", limits)
	}
	limited := &Spec{Tasks: []Task{{Name: "x"}}}
	CopyLimits(limited, full)
	differences, err = Diff(empty, limited)
	if err != nil {
		t.Fatal(err)
	}
	for i := range differences {
		d := &differences[i]
		if !limits[d.Task+":"+d.Field()] {
			t.Errorf("CopyLimits copies %s, which is no limit", d)
		}
		delete(limits, d.Task+":"+d.Field())
	}
	if len(limits) > 0 {
		t.Errorf("limits that are not copied: %v", limits)
	}
}

func TestDiff(t *testing.T) {
	spec := func(change func(*Spec)) *Spec {
		s := &Spec{
			Run: "a", Workdir: &Manifest{Key: "runs/a/workdir", Content: "c1"},
			Inputs: []SourceInput{{Name: "data", Manifest: Manifest{Key: "k", Content: "d1"}}},
			Tasks: []Task{
				{Name: "one", Count: 1, Execution: Execution{Command: []string{"<a>"}}},
				{Name: "many", Count: 2, Elements: []Element{{Env: map[string]string{"N": "0"}}, {Env: map[string]string{"N": "1"}}}},
			},
		}
		if change != nil {
			change(s)
		}
		return s
	}
	for _, c := range []struct {
		name   string
		change func(*Spec)
		want   []string
		limits int
	}{
		{"the same", nil, nil, 0},
		{"another run", func(s *Spec) {
			s.Run, s.Seed, s.Workdir.Key, s.Recovery = "b", 0, "runs/b/workdir", &Recovery{Run: "a"}
		}, nil, 0},
		{"the order of tasks", func(s *Spec) { s.Tasks[0], s.Tasks[1] = s.Tasks[1], s.Tasks[0] }, nil, 0},
		{"the workdir", func(s *Spec) { s.Workdir.Content = "c2" }, []string{`workdir.content: "c1" -> "c2"`}, 0},
		{"an input", func(s *Spec) { s.Inputs[0].Manifest.Content = "d2" }, []string{`inputs.data.manifest.content: "d1" -> "d2"`}, 0},
		{"a command", func(s *Spec) { s.Tasks[0].Execution.Command = []string{"<b>", "c"} },
			[]string{`execution.command: ["<a>"] -> ["<b>","c"]`}, 0},
		{"an element", func(s *Spec) { s.Tasks[1].Elements[1].Env = map[string]string{"M": "1"} },
			[]string{`elements[1].env.M: (none) -> "1"`, `elements[1].env.N: "1" -> (none)`}, 0},
		{"limits", func(s *Spec) {
			s.MaxCost, s.Tasks[0].MaxCost, s.Tasks[0].Retries.Attempts, s.Tasks[0].Execution.Timeout = 4, 2, 9, 5e9
		}, []string{`max_cost: (none) -> 4`, `execution.timeout: (none) -> "5s"`, `max_cost: (none) -> 2`, `retries.attempts: 0 -> 9`}, 4},
		{"a task that is gone", func(s *Spec) { s.Tasks = s.Tasks[1:] }, []string{"*"}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			differences, err := Diff(spec(nil), spec(c.change))
			if err != nil {
				t.Fatal(err)
			}
			limits := 0
			for i := range differences {
				if i >= len(c.want) || c.want[i] != "*" && differences[i].String() != c.want[i] {
					t.Errorf("unexpected: %s", &differences[i])
				}
				if differences[i].IsLimit() {
					limits++
				}
			}
			if len(differences) != len(c.want) || limits != c.limits {
				t.Errorf("%d differences, %d of limits, not %d and %d", len(differences), limits, len(c.want), c.limits)
			}
		})
	}
}
