package ec2test

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spotrelay/spotrelay/providers/aws/ec2test/model"
)

// Bounds of tags (EC2 User Guide, "Tag restrictions").
const (
	mostTags        = 50
	longestTagKey   = 128
	longestTagValue = 256
)

// readTags checks tags.
func readTags(list []model.Values) (map[string]string, *apiError) {
	tags := map[string]string{}
	for _, tag := range list {
		key, value := tag.String("Key"), tag.String("Value")
		switch {
		case key == "" || utf8.RuneCountInString(key) > longestTagKey:
			return nil, violate("InvalidParameterValue", "Tag key '%s' must have 1 to %d characters", key, longestTagKey)
		case utf8.RuneCountInString(value) > longestTagValue:
			return nil, violate("InvalidParameterValue", "The value of tag %s exceeds the maximum length of %d", key, longestTagValue)
		case strings.HasPrefix(strings.ToLower(key), "aws:"):
			return nil, violate("InvalidParameterValue", "Tag keys starting with 'aws:' are reserved for internal use")
		}
		if _, twice := tags[key]; twice {
			return nil, violate("InvalidParameterValue", "Duplicate tag key '%s' specified.", key)
		}
		tags[key] = value
	}
	if len(tags) > mostTags {
		return nil, violate("TagLimitExceeded", "More than %d tags specified", mostTags)
	}
	return tags, nil
}

// readTagSpecifications gives the tags by the type of resource, which must be
// among allowed.
func readTagSpecifications(input model.Values, allowed ...string) (map[string]map[string]string, *apiError) {
	byType := map[string]map[string]string{}
	for _, specification := range input.Structs("TagSpecifications") {
		kind := specification.String("ResourceType")
		if !slices.Contains(allowed, kind) {
			return nil, violate("InvalidParameterValue", "'%s' is not a valid taggable resource type for this operation.", kind)
		}
		if byType[kind] != nil {
			return nil, violate("InvalidParameterValue", "Multiple tag specifications for %s", kind)
		}
		tags, refused := readTags(specification.Structs("Tags"))
		if refused != nil {
			return nil, refused
		}
		byType[kind] = tags
	}
	return byType, nil
}

// tagList writes tags.
func tagList(tags map[string]string) []any {
	var list []any
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, model.Values{"Key": key, "Value": tags[key]})
	}
	return list
}

func (s *Server) createTags(input model.Values) (model.Values, *apiError) {
	tags, refused := readTags(input.Structs("Tags"))
	if refused != nil {
		return nil, refused
	}
	var found []*instance
	for _, id := range input.Strings("Resources") {
		i, refused := s.instanceNamed(id)
		if refused != nil {
			return nil, refused
		}
		found = append(found, i)
	}
	for _, i := range found {
		maps.Copy(i.tags, tags)
	}
	return model.Values{}, nil
}
