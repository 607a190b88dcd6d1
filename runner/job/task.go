package job

import "maps"

// Task by its name, and whether there is one.
func (s *Spec) Task(name string) (*Task, bool) {
	for i := range s.Tasks {
		if s.Tasks[i].Name == name {
			return &s.Tasks[i], true
		}
	}
	return nil, false
}

// Fleet by its name, and whether there is one.
func (s *Spec) Fleet(name string) (*Fleet, bool) {
	for i := range s.Fleets {
		if s.Fleets[i].Name == name {
			return &s.Fleets[i], true
		}
	}
	return nil, false
}

// ExecutionOf is the execution of one index: the task's, with what is the
// index's own. What is not shares the task's slices and maps: do not change it.
func (t *Task) ExecutionOf(index int) Execution {
	execution := t.Execution
	if index >= len(t.Elements) {
		return execution
	}
	element := t.Elements[index]
	if element.Command != nil {
		execution.Command = element.Command
	}
	if element.Env != nil {
		execution.Env = maps.Clone(execution.Env)
		if execution.Env == nil {
			execution.Env = map[string]string{}
		}
		maps.Copy(execution.Env, element.Env)
	}
	return execution
}

// KeyOf is the for_each key of an index, "" where there is none.
func (t *Task) KeyOf(index int) string {
	if index < len(t.Keys) {
		return t.Keys[index]
	}
	return ""
}
