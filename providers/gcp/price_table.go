package gcp

import "strconv"

// priceTable: family, a CPU on demand and on spot, a GiB on demand and on spot;
// 0: not to be had. Of the date pricesOn, from
// https://cloud.google.com/compute/vm-instance-pricing and
// https://cloud.google.com/spot-vms/pricing.
const priceTable = `
e2  0.02181 0.00654 0.00292 0.00088
n1  0.03161 0.00860 0.00424 0.00116
n2  0.03161 0.00900 0.00424 0.00121
n2d 0.02750 0.00640 0.00369 0.00086
n4  0.03110 0.01240 0.00354 0.00141
c2  0.03398 0.00880 0.00455 0.00118
c2d 0.02956 0.00690 0.00396 0.00092
c3  0.03398 0.01000 0.00456 0.00134
c3d 0.02956 0.00900 0.00396 0.00121
c4  0.03465 0.01390 0.00394 0.00158
c4a 0.03086 0.01230 0.00351 0.00140
c4d 0.03450 0.01380 0.00392 0.00157
t2a 0.02500 0.00750 0.00338 0.00101
t2d 0.02750 0.00640 0.00369 0.00086
m1  0.03480 0.00740 0.00511 0.00109
m3  0.03480 0.01040 0.00511 0.00153
a2  0.03161 0.01581 0.00424 0.00212
a3  0.02911 0.00889 0.00254 0.00078
g2  0.02499 0.01000 0.00293 0.00117
`

// gpuTable: one GPU on demand and on spot.
const gpuTable = `
t4        0.35   0.14
p4        0.60   0.24
p100      1.46   0.58
v100      2.48   0.99
l4        0.56   0.224
a100      2.934  1.467
a100-80gb 3.928  1.964
h100      9.797  2.988
`

// numbers reads the fields of a table of this file; a test reads them all.
func numbers(fields []string) []float64 {
	out := make([]float64, len(fields))
	for i, field := range fields {
		out[i], _ = strconv.ParseFloat(field, 64)
	}
	return out
}
