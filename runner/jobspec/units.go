package jobspec

import (
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var sizeUnits = map[string]int64{
	"": 1, "B": 1,
	"kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "PB": 1e15,
	"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40, "PiB": 1 << 50,
}

var sizePattern = regexp.MustCompile(`^([0-9]{1,18}(?:\.[0-9]{1,18})?) ?([A-Za-z]*)$`)

// parseSize reads a size: "16GiB", "1.5GB", "4096". Units are exact in case,
// so that nobody's GB is taken for a GiB.
func parseSize(text string) (int64, error) {
	match := sizePattern.FindStringSubmatch(text)
	if match == nil {
		return 0, fmt.Errorf("a size is a number with a unit, such as \"16GiB\" or \"500MB\", not %q", text)
	}
	unit, ok := sizeUnits[match[2]]
	if !ok {
		return 0, unknownSizeUnit(match[1], match[2])
	}
	number, ok := new(big.Rat).SetString(match[1])
	if !ok {
		return 0, fmt.Errorf("%q is no number", match[1])
	}
	number.Mul(number, new(big.Rat).SetInt64(unit))
	if !number.IsInt() {
		return 0, fmt.Errorf("%q is no whole number of bytes", text)
	}
	if !number.Num().IsInt64() {
		return 0, fmt.Errorf("%q is too large", text)
	}
	return number.Num().Int64(), nil
}

func unknownSizeUnit(number, unit string) error {
	for known := range sizeUnits {
		if strings.EqualFold(known, unit) && known != "kB" {
			return fmt.Errorf("unknown unit %q: write \"%s%s\"", unit, number, known)
		}
	}
	if letter := strings.ToUpper(unit); len(letter) == 1 && strings.Contains("KMGTP", letter) {
		return fmt.Errorf("unit %q can be read in two ways: write \"%s%sB\" (powers of 1000) or \"%s%siB\" (powers of 1024)", unit, number, letter, number, letter)
	}
	return fmt.Errorf("unknown unit %q: sizes have B, KB, MB, GB, TB, PB (powers of 1000) or KiB, MiB, GiB, TiB, PiB (powers of 1024)", unit)
}

var (
	durationPattern = regexp.MustCompile(`^(?:[0-9]+(?:\.[0-9]+)?(?:d|h|m|s|ms))+$`)
	durationPart    = regexp.MustCompile(`([0-9]+(?:\.[0-9]+)?)(ms|d|h|m|s)`)
)

const maxDuration = 10 * 365 * 24 * time.Hour

// parseDuration reads a duration: "90s", "1h30m", "2d", "500ms", "0".
func parseDuration(text string) (time.Duration, error) {
	if text == "0" {
		return 0, nil
	}
	if len(text) > 64 || !durationPattern.MatchString(text) {
		return 0, durationFault(text)
	}
	total := new(big.Rat)
	for _, part := range durationPart.FindAllStringSubmatch(text, -1) {
		number, ok := new(big.Rat).SetString(part[1])
		if !ok {
			return 0, durationFault(text)
		}
		unit := map[string]time.Duration{"d": 24 * time.Hour, "h": time.Hour, "m": time.Minute, "s": time.Second, "ms": time.Millisecond}[part[2]]
		total.Add(total, number.Mul(number, new(big.Rat).SetInt64(int64(unit))))
	}
	if total.Cmp(new(big.Rat).SetInt64(int64(maxDuration))) > 0 {
		return 0, fmt.Errorf("%q is too long: at most ten years", text)
	}
	nanoseconds := new(big.Int).Quo(total.Num(), total.Denom())
	return time.Duration(nanoseconds.Int64()), nil
}

func durationFault(text string) error {
	if strings.HasPrefix(text, "-") {
		return errors.New("a duration cannot be negative")
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		return fmt.Errorf("%q has no unit: write %q for seconds or %q for minutes", text, text+"s", text+"m")
	}
	return fmt.Errorf("a duration is numbers with units d, h, m, s or ms, such as \"90s\", \"1h30m\" or \"2d\", not %q", shorten(text))
}

// shorten keeps user text in a message from flooding it.
func shorten(text string) string {
	if runes := []rune(text); len(runes) > 60 {
		return string(runes[:57]) + "..."
	}
	return text
}
