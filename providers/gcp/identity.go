package gcp

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/spotrelay/spotrelay/providers"
)

// instanceID is what an instance is known by: "zone.name.number". The number is
// its incarnation; zone and number are enough to find its operations when it is
// gone. None of the three can hold a dot.
type instanceID struct {
	zone, name string
	number     uint64
}

func (id instanceID) String() string {
	return id.zone + "." + id.name + "." + strconv.FormatUint(id.number, 10)
}

func parseID(text string) (instanceID, bool) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 || !zoneForm.MatchString(parts[0]) || !resourceForm.MatchString(parts[1]) {
		return instanceID{}, false
	}
	number, err := strconv.ParseUint(parts[2], 10, 64)
	if err != nil || number == 0 || parts[2][0] == '0' {
		return instanceID{}, false
	}
	return instanceID{parts[0], parts[1], number}, true
}

// target is the number as a path and a filter carry it.
func (id instanceID) target() string { return strconv.FormatUint(id.number, 10) }

// A request id is a UUID that we make, and an operation shows the one that it
// was asked with. So an end that we asked for is known by the operation alone,
// whoever's credentials were used: the id's first six hexadecimal digits are a
// mark, two are chance, and then the number of the instance stands in decimal.
const (
	markTerminate = "5907e1" // the provider's Terminate
	markLeave     = "5907e2" // the instance itself
)

// endRequest is a request id for the end of an instance.
func endRequest(mark string, number uint64) string {
	var chance [1]byte
	_, _ = rand.Read(chance[:]) // it never fails
	return endRequestOf(mark, hex.EncodeToString(chance[:]), number)
}

func endRequestOf(mark, chance string, number uint64) string {
	digits := fmt.Sprintf("%022d", number)
	return mark + chance + "-" + digits[:4] + "-4" + digits[4:7] + "-8" + digits[7:10] + "-" + digits[10:]
}

// endMark is the mark of a request id of ours that is about the instance.
func endMark(requestID string, number uint64) string {
	requestID = strings.ToLower(requestID)
	for _, mark := range []string{markTerminate, markLeave} {
		if len(requestID) == 36 && strings.HasPrefix(requestID, mark) && requestID == endRequestOf(mark, requestID[6:8], number) {
			return mark
		}
	}
	return ""
}

// launchSpace is the namespace of the request ids of launches.
var launchSpace = uuid.MustParse("c1f0b7de-6a0b-4d3c-9c55-8a3f1f1f6e21")

// launchRequestID is the request id of one bulk insert, made from the launch's
// token and the number of the bulk insert within it, so that a repetition is
// known as one.
func launchRequestID(project, token string, bulk int) string {
	return uuid.NewSHA1(launchSpace, []byte(project+"\x00"+token+"\x00"+strconv.Itoa(bulk))).String()
}

// instanceName is the name of an instance of a launch: 36 characters at most.
func instanceName(token string, bulk, index int) string {
	sum := sha256.Sum256([]byte(token))
	short := strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:10]))
	return fmt.Sprintf("spotrelay-%s-%d-%04d", short, bulk, index)
}

// digestOf tells two requests under one token apart.
func digestOf(request providers.LaunchRequest) (string, error) {
	data, err := json.Marshal(request)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:16]), nil
}
