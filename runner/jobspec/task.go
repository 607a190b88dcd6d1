package jobspec

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/spotrelay/spotrelay/runner/job"
)

// task is a task on its way into the spec.
type task struct {
	c      *content
	name   string
	array  string // "count", "each" or ""
	count  int
	keys   []string    // of for_each, sorted
	values []cty.Value // of for_each, in the order of keys
	secret bool        // they came from a sensitive variable
	broken bool        // its indexes are not known, after a report
	edges  []edge
	inputs map[string]bool // names of inputs from outside that it is given
}

// edge is a dependency with the place that makes it.
type edge struct {
	to string
	at hcl.Range
	// whole: all outputs are wanted, not only those that are referred to by index.
	whole bool
}

func (t *task) addEdge(to string, where hcl.Range, whole bool) {
	i := slices.IndexFunc(t.edges, func(e edge) bool { return e.to == to })
	if i < 0 {
		t.edges = append(t.edges, edge{to, where, whole})
		return
	}
	t.edges[i].whole = t.edges[i].whole || whole
}

var namePattern = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)

// checkName reports a name that cannot be used in keys, references and
// environment variables.
func (l *loader) checkName(what, name string, where hcl.Range) {
	if namePattern.MatchString(name) {
		return
	}
	r := report{at: where, summary: fmt.Sprintf("Invalid name %q", shorten(name)),
		detail: fmt.Sprintf("The name of a %s has lower-case letters, digits, - and _, begins with a letter, and is at most 63 long.", what)}
	if better := betterName(name); namePattern.MatchString(better) {
		r.suggestion = better
	}
	l.report(r)
}

var notInNames = regexp.MustCompile(`[^a-z0-9_-]+`)

func betterName(name string) string {
	better := notInNames.ReplaceAllString(strings.ToLower(name), "-")
	return strings.Trim(better, "-_")
}

// inputDirName is the environment variable by which others find a task's
// outputs; no two tasks of a job may share it.
func inputDirName(task string) string {
	return "SPOTRELAY_INPUT_DIR_" + strings.ToUpper(strings.ReplaceAll(task, "-", "_"))
}

// declareTasks reads names and indexes of all tasks, which references need.
func (l *loader) declareTasks(block *content) {
	variables := l.inputVariables()
	for _, c := range block.named(taskSchema) {
		l.checkName("task", c.label, c.labelRange)
		if before, again := l.tasks[c.label]; again {
			l.duplicate("task", c, before.c)
			continue
		}
		t := &task{c: c, name: c.label, count: 1}
		l.tasks[t.name] = t
		l.taskOrder = append(l.taskOrder, t)
		l.checkAlike(variables, c)
		leave := l.within(c.title())
		l.readIndexes(t)
		leave()
	}
	if len(l.taskOrder) == 0 {
		l.report(report{at: block.header, summary: "A job without tasks", detail: "Add one: task \"name\" { command = [...] }."})
	}
}

const maxCount = 1_000_000

// readIndexes reads count and for_each.
func (l *loader) readIndexes(t *task) {
	s := scope{ctx: l.ctx}
	count := l.setting(taskSchema, "count", s, t.c)
	each := l.setting(taskSchema, "for_each", s, t.c)
	if count.given() && each.given() {
		l.report(report{at: t.c.attrs["for_each"].NameRange, summary: "Both count and for_each", detail: "A task has one of them."})
		t.broken = true
	}
	switch {
	case count.given():
		t.array = "count"
		number, ok := count.whole(0, maxCount)
		t.count, t.broken = number, t.broken || !ok
	case each.given():
		t.array = "each"
		t.broken = !l.readKeys(t, each) || t.broken
	}
}

// readKeys reads for_each.
func (l *loader) readKeys(t *task, st setting) bool {
	value, secret, ok := st.read()
	if !ok {
		return false
	}
	t.secret = secret
	set := value.Type().IsSetType() && (value.LengthInt() == 0 || value.Type().ElementType() == cty.String)
	if isListLike(value) && !set {
		st.l.report(report{at: st.where, summary: `Wrong type for "for_each"`,
			detail: fmt.Sprintf("for_each takes a map or a set of strings; this is %s. Make a list of strings a set: toset(...). For numbered indexes use count.", describe(value, secret))})
		return false
	}
	if !set && !isMapLike(value) {
		st.wrongType(value, secret, st.where)
		return false
	}
	if value.LengthInt() > maxCount {
		st.invalid(st.where, "for_each has at most %d keys", maxCount)
		return false
	}
	for it := value.ElementIterator(); it.Next(); {
		key, element := it.Element()
		if set {
			key = element
		}
		if key.IsNull() || key.AsString() == "" || strings.ContainsFunc(key.AsString(), func(r rune) bool { return r < ' ' }) {
			st.invalid(itemsOf(st.expr).keyOf("", st.where), "a key of for_each is not empty and has no control characters")
			return false
		}
		t.keys = append(t.keys, key.AsString())
		t.values = append(t.values, element)
	}
	if !slices.IsSorted(t.keys) { // sets may be iterated otherwise
		order := map[string]cty.Value{}
		for i, key := range t.keys {
			order[key] = t.values[i]
		}
		slices.Sort(t.keys)
		for i, key := range t.keys {
			t.values[i] = order[key]
		}
	}
	t.count = len(t.keys)
	return true
}

// readTask reads a task into the model. The block is the job's, for defaults.
func (l *loader) readTask(t *task, block *content, base jobDefaults) job.Task {
	defer l.within(t.c.title())()
	s := scope{ctx: l.ctx}
	task := job.Task{Name: t.name, Count: t.count, Array: t.array != "", Keys: t.keys}
	l.readExecution(t, &task, block, base)
	t.tabulate(&task)
	task.Resources, task.Execution.MemoryLimit = l.readResources(s, t.c, block)
	task.OnOutOfMemory = l.readMoreMemory(s, t.c, task.Resources)
	task.Retries = l.readRetries(s, t.c.first(retriesSchema), block.first(retriesSchema), t.c)
	task.Image, _ = l.setting(taskSchema, "image", s, t.c, block).text()
	task.Labels = l.readLabels(l.setting(taskSchema, "labels", s, t.c), base.labels)
	task.Fleets = l.readFleetNames(l.setting(taskSchema, "fleets", s, t.c), base.fleets)
	task.Slots = l.readSlots(t, s)
	l.readTaskLimits(&task, s, t.c)
	task.Dedicated, _ = l.setting(taskSchema, "dedicated", s, t.c).boolean()
	if task.Dedicated && task.Slots > 1 {
		l.report(report{at: t.c.attrs["dedicated"].Expr.Range(), summary: "A dedicated task has one slot",
			detail: fmt.Sprintf("dedicated gives each attempt an instance of its own, but slots = %d lets attempts share one. Remove one of them.", task.Slots)})
	}
	task.Cache = l.readCache(t.c.first(cacheSchema), s, block)
	l.readGang(t, s, &task, block)
	l.readDependencies(t)
	l.readInputNames(t, s)
	l.readFlow(t, s, &task)
	return task
}

func (l *loader) readSlots(t *task, s scope) int {
	slots, ok := l.setting(taskSchema, "slots", s, t.c).whole(1, 1024)
	if !ok {
		return 1
	}
	return slots
}

// readDependencies reads depends_on.
func (l *loader) readDependencies(t *task) {
	attr, ok := t.c.attrs["depends_on"]
	if !ok {
		return
	}
	exprs, diags := hcl.ExprList(attr.Expr)
	if diags.HasErrors() {
		l.report(report{at: attr.Expr.Range(), summary: `Wrong type for "depends_on"`, detail: "depends_on is a list of tasks, such as [task.features]."})
		return
	}
	for _, expr := range exprs {
		traversal, diags := hcl.AbsTraversalForExpr(expr)
		switch {
		case diags.HasErrors() || traversal.RootName() != "task" && len(traversal) > 1:
			l.report(report{at: expr.Range(), summary: "Not a task", detail: "depends_on is a list of tasks, such as [task.features].", suggestion: l.meantTask(expr)})
		case traversal.RootName() != "task" || taskName(traversal) == "":
			l.report(report{at: expr.Range(), summary: "Not a task", detail: "A task is referred to as task.NAME.", suggestion: l.meantTask(expr)})
		case len(traversal) > 2:
			l.report(report{at: expr.Range(), summary: "Not a task", detail: "A task depends on other tasks as a whole.", suggestion: "task." + taskName(traversal)})
		default:
			l.dependOn(t, taskName(traversal), expr.Range())
		}
	}
}

// meantTask is the reference for somebody who wrote a task's name alone.
func (l *loader) meantTask(expr hcl.Expression) string {
	name := hcl.ExprAsKeyword(expr)
	if value, diags := expr.Value(nil); name == "" && !diags.HasErrors() {
		name, _ = textOf(value)
	}
	if l.tasks[name] == nil {
		name = nearest(name, keysOf(l.tasks))
	}
	if name == "" {
		return ""
	}
	return "task." + name
}

func (l *loader) dependOn(t *task, name string, where hcl.Range) {
	target := l.findTask(name, where)
	if target == nil {
		return
	}
	if target == t {
		l.report(report{at: where, summary: fmt.Sprintf("Task %q depends on itself", name), detail: "Remove it from depends_on."})
		return
	}
	t.addEdge(name, where, true)
}

// readPath reads a directory below the working directory, cleaned.
func (l *loader) readPath(st setting) (string, bool) {
	text, ok := st.text()
	if !ok {
		return "", false
	}
	clean := path.Clean(text)
	switch {
	case text == "" || strings.ContainsRune(text, 0):
		st.invalid(st.where, "%q is the name of a directory", st.schema.name)
	case strings.HasPrefix(text, "/") || strings.HasPrefix(text, "~") || len(text) > 1 && text[1] == ':':
		st.invalid(st.where, "%q is relative to the working directory, such as %s; %q is not", st.schema.name, st.schema.example, shorten(text))
	case strings.Contains(text, `\`):
		st.invalid(st.where, "%q has slashes, not backslashes", st.schema.name)
	case clean == ".." || strings.HasPrefix(clean, "../"):
		st.invalid(st.where, "%q stays below the working directory; %q leaves it", st.schema.name, shorten(text))
	case clean == ".":
		st.invalid(st.where, "%q is a directory below the working directory, not the working directory itself", st.schema.name)
	default:
		return clean, true
	}
	return "", false
}

// asNative is an expression of a .hcl file, nil for others.
func asNative(expr hcl.Expression) hclsyntax.Expression {
	native, _ := expr.(hclsyntax.Expression)
	return native
}
