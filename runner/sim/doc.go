// Package sim runs the real planner, controller, store, agents and checkpoint
// commits against a cloud and a bucket that are simulated, on virtual time
// (testing/synctest), with every fault that the cloud, the network and the
// machines can have, each decided by one seed. After every step the promises of
// docs/invariants.md are checked.
package sim
