package jobspec

//go:generate go test -run ^TestReference$ -update .
