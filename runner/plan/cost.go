package plan

// orphanLeases is how many leases pass, at the most, before an agent takes its
// run for one that nobody controls.
const orphanLeases = 4

// unattended counts the time in which no controller lived to what lived on.
// Nothing lived longer than an agent goes on alone.
func (s *State) unattended(u *Unattended) {
	length := u.Length
	if timing := s.Spec.Timing; timing.OrphanGrace > 0 && timing.Lease > 0 {
		length = min(length, timing.OrphanGrace.D()+orphanLeases*timing.Lease.D())
	}
	for _, id := range sortedKeys(s.Instances) {
		inst := s.Instances[id]
		inst.Unattended += length
		for _, a := range inst.Attempts {
			if rec, _ := s.live(a, id); rec != nil {
				rec.unattended(id, length)
			}
		}
	}
}

// cost of an instance's life up to a time, in dollars.
func (inst *Instance) cost(now Time) float64 {
	return inst.Offer.Price * max(now-inst.Launched+inst.Unattended, 0).Hours()
}

// shareOf is an attempt's part of its instance's price over a time, in
// dollars.
func shareOf(inst *Instance, d Time) float64 {
	return inst.Offer.Price * d.Hours() / float64(max(inst.Slots, 1))
}
