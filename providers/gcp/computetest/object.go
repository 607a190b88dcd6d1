package computetest

import (
	"encoding/json"
	"maps"
	"strconv"
	"strings"
	"time"
)

// object is a JSON object.
type object = map[string]any

// at is the value at a dotted path, nil where there is none.
func at(o object, path string) any {
	var value any = o
	for name := range strings.SplitSeq(path, ".") {
		fields, ok := value.(object)
		if !ok {
			return nil
		}
		value = fields[name]
	}
	return value
}

func textAt(o object, path string) string {
	text, _ := at(o, path).(string)
	return text
}

func boolAt(o object, path string) (value, given bool) {
	value, given = at(o, path).(bool)
	return value, given
}

// intAt reads an int64, which JSON has as a string, and an int32, a number.
func intAt(o object, path string) (value int64, given bool) {
	switch v := at(o, path).(type) {
	case string:
		n, err := strconv.ParseInt(v, 10, 64)
		return n, err == nil
	case json.Number:
		n, err := v.Int64()
		return n, err == nil
	}
	return 0, false
}

func objectAt(o object, path string) object {
	fields, _ := at(o, path).(object)
	return fields
}

func objectsAt(o object, path string) []object {
	list, _ := at(o, path).([]any)
	var objects []object
	for _, element := range list {
		if fields, ok := element.(object); ok {
			objects = append(objects, fields)
		}
	}
	return objects
}

// durationAt reads a Duration message.
func durationAt(o object, path string) (d time.Duration, given bool) {
	fields, ok := at(o, path).(object)
	if !ok {
		return 0, false
	}
	seconds, _ := intAt(fields, "seconds")
	nanos, _ := intAt(fields, "nanos")
	return time.Duration(seconds)*time.Second + time.Duration(nanos), true
}

// copyOf is a copy that shares nothing which is changed later: the fields of
// the object itself.
func copyOf(o object) object { return maps.Clone(o) }

// lastPart is what follows the last slash of an address.
func lastPart(address string) string { return address[strings.LastIndexByte(address, '/')+1:] }
