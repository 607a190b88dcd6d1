package main

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// resultsTable is the rows of a task's indexes with columns that have names.
type resultsTable struct {
	columns []resultsColumn
	rows    []resultRowJSON
}

type resultsColumn struct {
	name string
	cell func(resultRowJSON) string
}

// tableOf has a column for each value or else for the index or key, one for the
// state, and one for each result. A result that is called like another column
// gets "result." before its name.
func tableOf(view resultsJSON) *resultsTable {
	t := &resultsTable{rows: view.Rows}
	taken := map[string]bool{}
	add := func(name string, cell func(resultRowJSON) string) {
		for taken[name] {
			name = "result." + name
		}
		taken[name] = true
		t.columns = append(t.columns, resultsColumn{name, cell})
	}
	switch {
	case len(view.Values) > 0:
		for _, name := range view.Values {
			add(name, func(r resultRowJSON) string { return r.Values[name] })
		}
	case len(view.Rows) > 0 && view.Rows[0].Key != "":
		add("key", func(r resultRowJSON) string { return r.Key })
	default:
		add("index", func(r resultRowJSON) string { return strconv.Itoa(r.Index) })
	}
	add("state", func(r resultRowJSON) string { return string(r.State) })
	for _, name := range view.Results {
		add(name, func(r resultRowJSON) string { return r.Result[name] })
	}
	return t
}

func (t *resultsTable) names() []string {
	names := make([]string, len(t.columns))
	for i, column := range t.columns {
		names[i] = column.name
	}
	return names
}

// header is the names as tables have them.
func (t *resultsTable) header() []string {
	names := t.names()
	for i := range names {
		names[i] = strings.ToUpper(names[i])
	}
	return names
}

func (t *resultsTable) cells() [][]string {
	cells := make([][]string, len(t.rows))
	for i, row := range t.rows {
		for _, column := range t.columns {
			cells[i] = append(cells[i], column.cell(row))
		}
	}
	return cells
}

// sort orders the rows by a column, numbers by their size and before texts;
// rows without a value come last either way.
func (t *resultsTable) sort(by string) error {
	name, falling := strings.CutPrefix(by, "-")
	at := slices.IndexFunc(t.columns, func(c resultsColumn) bool { return strings.EqualFold(c.name, name) })
	if at < 0 {
		return wrongCall("its columns are "+strings.Join(t.names(), ", "), "there is no column %q", name)
	}
	cell := t.columns[at].cell
	slices.SortStableFunc(t.rows, func(a, b resultRowJSON) int {
		x, y := cell(a), cell(b)
		if x == "" || y == "" {
			return cmp.Compare(order(x), order(y))
		}
		c := compareCells(x, y)
		if falling {
			return -c
		}
		return c
	})
	return nil
}

func order(cell string) int {
	if cell == "" {
		return 1
	}
	return 0
}

func compareCells(x, y string) int {
	p, errP := strconv.ParseFloat(x, 64)
	q, errQ := strconv.ParseFloat(y, 64)
	switch {
	case errP == nil && errQ == nil:
		return cmp.Compare(p, q)
	case errP == nil:
		return -1
	case errQ == nil:
		return 1
	}
	return strings.Compare(x, y)
}
