package computetest

import (
	"encoding/base64"
	"net/http"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// lister gives the resources of a zone or, where there are no zones, those that
// the path names.
type lister func(s *Server, r *request, zone string) []object

// zonal answers with the resources of the path's zone. One that cannot be
// reached is an answer with a warning and nothing else: overlooking it is the
// mistake to find.
func zonal(kind string, list lister) handler {
	return func(s *Server, r *request) (object, *apiError) {
		zone := r.path["zone"]
		if s.world.zone(zone) == nil {
			return nil, unknownPlace("zone", zone)
		}
		if s.world.unreachable[zone] {
			return object{"kind": kind, "warning": unreachable("zones/" + zone)}, nil
		}
		return s.page(r, kind, list(s, r, zone))
	}
}

// flat answers with what list gives.
func flat(kind string, list func(*Server, *request) []object) handler {
	return func(s *Server, r *request) (object, *apiError) {
		if failure := s.checkPlace(r); failure != nil {
			return nil, failure
		}
		return s.page(r, kind, list(s, r))
	}
}

// page is the page of a list that a request asks for.
func (s *Server) page(r *request, kind string, all []object) (object, *apiError) {
	all, failure := s.selected(r, all)
	if failure != nil {
		return nil, failure
	}
	part, token, failure := s.cut(r, all)
	if failure != nil {
		return nil, failure
	}
	answer := object{"kind": kind, "id": s.pathOf(r)}
	if len(part) > 0 {
		answer["items"] = part
	}
	if token != "" {
		answer["nextPageToken"] = token
	}
	return answer, nil
}

// selected is what passes the filter, in the order asked for: by name, which is
// the default, or the newest first.
func (s *Server) selected(r *request, all []object) ([]object, *apiError) {
	f, err := parseFilter(r.query.Get("filter"))
	if err != nil {
		return nil, invalid("filter", r.query.Get("filter"), "Invalid list filter expression: "+err.Error())
	}
	all = slices.DeleteFunc(slices.Clone(all), func(o object) bool { return !f.matches(o) })
	switch order := r.query.Get("orderBy"); order {
	case "", "name":
		sort.SliceStable(all, func(i, j int) bool { return textAt(all[i], "name") < textAt(all[j], "name") })
	case "creationTimestamp desc":
		sort.SliceStable(all, func(i, j int) bool { return born(all[i]) > born(all[j]) })
	default:
		return nil, invalid("orderBy", order, "Only name and creationTimestamp desc are supported.")
	}
	return all, nil
}

func born(o object) string {
	if text := textAt(o, "creationTimestamp"); text != "" {
		return text
	}
	return textAt(o, "insertTime")
}

const tokenPrefix = "page-of-"

// cut is a page. A token is good for the list and filter it was given for.
func (s *Server) cut(r *request, all []object) ([]object, string, *apiError) {
	about := r.method.ID + r.path["zone"] + r.path["region"] + "?" + r.query.Get("filter") + "?" + r.query.Get("orderBy") + "?"
	first := 0
	if token := r.query.Get("pageToken"); token != "" {
		data, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, tokenPrefix))
		after, ok := strings.CutPrefix(string(data), about)
		if err != nil || !ok {
			return nil, "", invalid("pageToken", token, "The page token is not of this list and filter.")
		}
		if first, err = strconv.Atoi(after); err != nil {
			return nil, "", invalid("pageToken", token, "The page token cannot be read.")
		}
	}
	size := s.options.PageSize
	if text := r.query.Get("maxResults"); text != "" {
		wanted, err := strconv.Atoi(text)
		if err != nil || wanted > 500 {
			return nil, "", invalid("maxResults", text, "Acceptable values are 0 to 500, inclusive.")
		}
		if wanted > 0 {
			size = min(size, wanted)
		}
	}
	first = min(first, len(all))
	end := min(first+size, len(all))
	if end == len(all) {
		return all[first:], "", nil
	}
	return all[first:end], tokenPrefix + base64.RawURLEncoding.EncodeToString([]byte(about+strconv.Itoa(end))), nil
}

// aggregated answers with the resources of all zones, by zone. A zone that
// cannot be reached is a warning in its place.
func aggregated(name string, list lister) handler {
	return func(s *Server, r *request) (object, *apiError) {
		var all []object
		for _, zone := range s.world.zoneNames() {
			for _, resource := range list(s, r, zone) {
				resource = copyOf(resource)
				resource[scopeField] = "zones/" + zone
				all = append(all, resource)
			}
		}
		all = slices.DeleteFunc(all, func(o object) bool {
			return s.world.unreachable[strings.TrimPrefix(textAt(o, scopeField), "zones/")]
		})
		all, failure := s.selected(r, all)
		if failure != nil {
			return nil, failure
		}
		part, token, failure := s.cut(r, all)
		if failure != nil {
			return nil, failure
		}
		scopes := object{}
		for _, zone := range s.world.zoneNames() {
			scopes["zones/"+zone] = object{"warning": emptyScope("zones/" + zone)}
		}
		for _, resource := range part {
			scope := textAt(resource, scopeField)
			delete(resource, scopeField)
			list, _ := objectAt(scopes, scope)[name].([]object)
			scopes[scope] = object{name: append(list, resource)}
		}
		for zone := range s.world.unreachable {
			scopes["zones/"+zone] = object{"warning": unreachable("zones/" + zone)}
		}
		answer := object{"kind": "compute#" + strings.TrimSuffix(name, "s") + "AggregatedList", "items": scopes}
		if token != "" {
			answer["nextPageToken"] = token
		}
		return answer, nil
	}
}

// scopeField marks a resource while a list is put together.
const scopeField = "\x00scope"

func emptyScope(scope string) object {
	return object{
		"code": "NO_RESULTS_ON_PAGE", "message": "There are no results for scope '" + scope + "' on this page.",
		"data": []object{{"key": "scope", "value": scope}},
	}
}

func unreachable(scope string) object {
	return object{
		"code": "UNREACHABLE", "message": "The scope '" + scope + "' cannot be reached.",
		"data": []object{{"key": "scope", "value": scope}},
	}
}

// named answers with the one resource whose name the path has.
func named(parameter string, list func(*Server, *request) []object) handler {
	return func(s *Server, r *request) (object, *apiError) {
		if parameter != "region" && parameter != "zone" {
			if failure := s.checkPlace(r); failure != nil {
				return nil, failure
			}
		}
		return pick(s, r, parameter, list(s, r))
	}
}

func one(parameter string, list lister) handler {
	return func(s *Server, r *request) (object, *apiError) {
		return pick(s, r, parameter, list(s, r, r.path["zone"]))
	}
}

func pick(s *Server, r *request, parameter string, all []object) (object, *apiError) {
	for _, resource := range all {
		if textAt(resource, "name") == r.path[parameter] {
			return resource, nil
		}
	}
	return nil, notFound(s.pathOf(r))
}

// checkPlace wants the path's zone and region to exist.
func (s *Server) checkPlace(r *request) *apiError {
	if region := r.path["region"]; region != "" && s.world.region(region) == nil {
		return unknownPlace("region", region)
	}
	if zone := r.path["zone"]; zone != "" && s.world.zone(zone) == nil {
		return unknownPlace("zone", zone)
	}
	return nil
}

func unknownPlace(kind, name string) *apiError {
	return &apiError{
		status: http.StatusBadRequest, reason: "invalid",
		message: "Invalid value for field '" + kind + "': '" + name + "'. Unknown " + kind + ".",
	}
}
