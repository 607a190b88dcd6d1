package aws

import (
	"strconv"
	"strings"
)

// builtInDate is when the built-in table was made. It is of us-east-1, whose
// prices are among AWS's lowest.
const builtInDate = "2025-07-01"

// largePrices are on-demand dollars an hour of size large; within these
// families the price goes with the size (Amazon EC2 On-Demand Pricing, Linux,
// us-east-1).
var largePrices = map[string]float64{
	"m5": 0.096, "m5a": 0.086, "m5d": 0.113, "m5n": 0.119, "m6i": 0.096, "m6a": 0.0864, "m6id": 0.11865, "m6g": 0.077, "m6gd": 0.0904,
	"m7i": 0.1008, "m7a": 0.11592, "m7g": 0.0816, "m7gd": 0.1068, "m8g": 0.08976,
	"c5": 0.085, "c5a": 0.077, "c5d": 0.096, "c5n": 0.108, "c6i": 0.085, "c6a": 0.0765, "c6id": 0.1008, "c6g": 0.068, "c6gd": 0.0768,
	"c7i": 0.08925, "c7a": 0.10264, "c7g": 0.0725, "c7gd": 0.0907, "c8g": 0.07976,
	"r5": 0.126, "r5a": 0.113, "r5d": 0.144, "r5n": 0.149, "r6i": 0.126, "r6a": 0.1134, "r6id": 0.1512, "r6g": 0.1008, "r6gd": 0.1152,
	"r7i": 0.1323, "r7a": 0.15215, "r7g": 0.1071, "r7gd": 0.1361, "r8g": 0.11782,
	"t3": 0.0832, "t3a": 0.0752, "t4g": 0.0672,
}

// typePrices are of families whose price does not go with the size.
var typePrices = map[string]float64{
	"m7i-flex.large": 0.09576, "m7i-flex.xlarge": 0.19152, "m7i-flex.2xlarge": 0.38304, "m7i-flex.4xlarge": 0.76608, "m7i-flex.8xlarge": 1.53216,
	"c7i-flex.large": 0.08479, "c7i-flex.xlarge": 0.16958, "c7i-flex.2xlarge": 0.33915, "c7i-flex.4xlarge": 0.6783, "c7i-flex.8xlarge": 1.3566,
	"g4dn.xlarge": 0.526, "g4dn.2xlarge": 0.752, "g4dn.4xlarge": 1.204, "g4dn.8xlarge": 2.176, "g4dn.12xlarge": 3.912, "g4dn.16xlarge": 4.352,
	"g5.xlarge": 1.006, "g5.2xlarge": 1.212, "g5.4xlarge": 1.624, "g5.8xlarge": 2.448, "g5.12xlarge": 5.672, "g5.16xlarge": 4.096,
	"g5.24xlarge": 8.144, "g5.48xlarge": 16.288,
	"g6.xlarge": 0.8048, "g6.2xlarge": 0.9776, "g6.4xlarge": 1.3232, "g6.8xlarge": 2.0144, "g6.12xlarge": 4.6016, "g6.16xlarge": 3.3968,
	"g6.24xlarge": 6.6752, "g6.48xlarge": 13.3504,
	"p3.2xlarge": 3.06, "p3.8xlarge": 12.24, "p3.16xlarge": 24.48,
	"p4d.24xlarge": 21.957642, "p4de.24xlarge": 27.44705, "p5.48xlarge": 55.04,
}

// builtInPrice is an instance type's price in the built-in table.
func builtInPrice(instanceType string) (float64, bool) {
	if price, ok := typePrices[instanceType]; ok {
		return price, true
	}
	family, size, ok := strings.Cut(instanceType, ".")
	large, known := largePrices[family]
	if !ok || !known {
		return 0, false
	}
	factor, ok := sizeFactor(size)
	return large * factor, ok
}

// sizeFactor is how many times a large a size is.
func sizeFactor(size string) (float64, bool) {
	switch size {
	case "nano":
		return 1.0 / 16, true
	case "micro":
		return 1.0 / 8, true
	case "small":
		return 1.0 / 4, true
	case "medium":
		return 1.0 / 2, true
	case "large":
		return 1, true
	case "xlarge":
		return 2, true
	}
	n, err := strconv.Atoi(strings.TrimSuffix(size, "xlarge"))
	if err != nil || !strings.HasSuffix(size, "xlarge") || n < 2 || n > 112 {
		return 0, false
	}
	return 2 * float64(n), true
}
