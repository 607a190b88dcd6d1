// Package terraformtest holds the Terraform modules against the code that they
// are for, without Terraform: its tests parse and evaluate the modules, run their
// terraform test files, compare what the policies allow with what the providers
// call, and let the fleet files that come out drive the providers to the end of
// a run. `make terraform-check` has Terraform itself look at them.
package terraformtest
