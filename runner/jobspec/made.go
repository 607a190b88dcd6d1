package jobspec

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// withTasks adds to a scope's context the task object with what the
// references need of it; nil after a report.
func (l *loader) withTasks(refs *references, s scope) *hcl.EvalContext {
	members := map[string]*made{}
	for _, ref := range refs.tasks {
		m := members[ref.name]
		if m == nil {
			m = &made{}
			members[ref.name] = m
		}
		if ref.whole {
			m.add(l, ref, inputMark{task: ref.name, index: -1, result: ref.result})
			continue
		}
		key := ref.key
		if ref.expr != nil {
			key, _ = l.plain(l.evaluate(ref.expr, s), ref.expr.Range())
			if !key.IsKnown() {
				return nil
			}
		}
		index, ok := l.indexOf(l.tasks[ref.name], key, ref.at)
		text, isText := textOf(key)
		if !ok || !isText {
			return nil
		}
		m.at(text).add(l, ref, inputMark{task: ref.name, index: index, result: ref.result})
	}
	tasks := map[string]cty.Value{}
	for name, m := range members {
		tasks[name] = m.value()
	}
	child := s.ctx.NewChild()
	child.Variables = map[string]cty.Value{"task": cty.ObjectVal(tasks)}
	if len(refs.inputs) > 0 {
		inputs := map[string]cty.Value{}
		for _, ref := range refs.inputs {
			inputs[ref.name] = l.tokens.value(inputMark{task: ref.name, index: fromOutside})
		}
		child.Variables["input"] = cty.MapVal(inputs)
	}
	return child
}

// made is what references need of a task, or of one index of it.
type made struct {
	output  cty.Value // NilVal: not needed
	results map[string]cty.Value
	indexes map[string]*made
}

func (m *made) add(l *loader, ref taskReference, mark inputMark) {
	if ref.result == "" {
		m.output = l.tokens.value(mark)
		return
	}
	mark.index = max(mark.index, 0)
	if m.results == nil {
		m.results = map[string]cty.Value{}
	}
	m.results[ref.result] = l.tokens.value(mark)
}

func (m *made) at(index string) *made {
	if m.indexes[index] == nil {
		if m.indexes == nil {
			m.indexes = map[string]*made{}
		}
		m.indexes[index] = &made{}
	}
	return m.indexes[index]
}

func (m *made) value() cty.Value {
	if m.results == nil && m.indexes == nil {
		// A map, since its type, unlike an object's, is not made anew each time.
		return cty.MapVal(map[string]cty.Value{"output": m.output})
	}
	attrs := map[string]cty.Value{}
	if m.output != cty.NilVal {
		attrs["output"] = m.output
	}
	if m.results != nil {
		attrs["result"] = cty.MapVal(m.results)
	}
	for index, one := range m.indexes {
		attrs[index] = one.value()
	}
	return cty.ObjectVal(attrs)
}
