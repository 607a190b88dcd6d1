package ec2test

import (
	"path"
	"slices"
	"strings"

	"github.com/spotrelay/spotrelay/providers/aws/ec2test/model"
)

// attributes of a resource by the filters' names, "tag:KEY" included.
type attributes map[string][]string

// mostFilterValues of one request (EC2 API Reference, "Filter").
const mostFilterValues = 200

// filters of a request.
type filters []model.Values

// filtersOf reads a request's filters and wants only names that are known;
// "tag:KEY" is where "tag" is among them.
func filtersOf(input model.Values, known ...string) (filters, *apiError) {
	all := filters(input.Structs("Filters"))
	values := 0
	for _, f := range all {
		name := f.String("Name")
		kind, _, isTag := strings.Cut(name, ":")
		if isTag && kind != "tag" || !slices.Contains(known, kind) {
			return nil, violate("InvalidParameterValue", "The filter '%s' is invalid", name)
		}
		if len(f.Strings("Values")) == 0 {
			return nil, violate("InvalidParameterValue", "The filter '%s' has no values", name)
		}
		values += len(f.Strings("Values"))
	}
	if values > mostFilterValues {
		return nil, violate("FilterLimitExceeded", "The maximum number of filter values specified on a single call is %d", mostFilterValues)
	}
	return all, nil
}

// match wants one of the values of every filter.
func (all filters) match(have attributes) bool {
	for _, f := range all {
		if !slices.ContainsFunc(f.Strings("Values"), func(pattern string) bool {
			return slices.ContainsFunc(have[f.String("Name")], func(value string) bool { return like(pattern, value) })
		}) {
			return false
		}
	}
	return true
}

// like matches a filter's value: '*' and '?' are wildcards, '\' escapes.
func like(pattern, value string) bool {
	if !strings.ContainsAny(pattern, `*?\`) {
		return pattern == value
	}
	quoted := strings.NewReplacer("[", `\[`, "/", "\x00").Replace(pattern)
	ok, err := path.Match(quoted, strings.ReplaceAll(value, "/", "\x00"))
	return err == nil && ok
}

// addTags adds what the filters tag:KEY, tag-key look at.
func (a attributes) addTags(tags map[string]string) attributes {
	for key, value := range tags {
		a["tag:"+key] = []string{value}
		a["tag-key"] = append(a["tag-key"], key)
	}
	return a
}
