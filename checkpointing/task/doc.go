// Package task is for programs in Go that spotrelay runs: where their
// checkpoint is, how to commit it, and how to learn of an interruption notice.
//
// It needs nothing but the standard library. Outside spotrelay its functions do
// nothing, so that the same program runs on a laptop: Active says where it is.
//
// The rule of it: a program keeps all that it goes on from in Dir, in files
// that are replaced whole (WriteFile). What Save commits is the directory as
// it is, and the next attempt finds it there before it starts. On a notice the
// program's context ends; it writes its state and exits with ExitSaved, and the
// agent commits the directory once more.
package task
