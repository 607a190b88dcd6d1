// Package relaytest holds the tests of the whole relay on AWS: the programs as
// users start them, against the EC2 of package ec2test with instances that are
// real, and, when it is asked for explicitly, against the real EC2.
package relaytest
