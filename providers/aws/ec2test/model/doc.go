// Package model knows the requests and answers of the AWS services that
// spotrelay calls, as AWS's own service models describe them: it reads and
// checks requests, and writes answers, by the model and nothing else.
//
// The models come from botocore (service-2.json), cut down to the operations
// named in extract.go; testdata/NOTICE.md has source and licence.
package model

//go:generate go run ./extract -o testdata/model.json
