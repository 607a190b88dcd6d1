package checkpointing

import (
	"cmp"
	"slices"
	"sync"
)

// base is what a save may share: what the pinned manifest names, and what this
// engine has sent itself.
type base struct {
	e        *engine
	manifest *manifest // nil: none
	packs    map[packID]bool
	sent     *sent // nil: none that may be relied on

	named    func() []*content // all that the manifest names, by its index
	once     sync.Once
	contents map[digest]*content
	// items are the files of the manifest as its save read them.
	items func() map[string]*item
}

// newBase leaves out packs that are to be packed anew, unless the save is
// urgent.
func newBase(e *engine, m *manifest, urgent bool) *base {
	b := &base{e: e, manifest: m, packs: map[packID]bool{}, items: func() map[string]*item { return nil }}
	if m == nil {
		return b
	}
	b.named = sync.OnceValue(func() []*content { return contentsOf(m) })
	b.items = sync.OnceValue(func() map[string]*item { return markedItems(m, b.named()) })
	poor := make([]bool, len(m.Packs))
	if !urgent {
		poor = poorPacks(m)
	}
	for i := range m.Packs {
		if p := &m.Packs[i]; !poor[i] && !e.isDamaged(p.key()) {
			b.packs[p.id()] = true
		}
	}
	return b
}

// has tells whether a pack may be shared.
func (b *base) has(p *pack) bool {
	if p == nil {
		return false
	}
	id := p.id()
	return b.packs[id] || b.sent != nil && b.sent.has(id) && !b.e.isDamaged(p.key())
}

// hasAll tells whether all of a file may be shared.
func (b *base) hasAll(parts []part) bool {
	var last *pack
	for _, p := range parts {
		pack := p.content.kept().pack
		if pack == last && pack != nil {
			continue
		}
		if !b.has(pack) {
			return false
		}
		last = pack
	}
	return true
}

// find is where content lies; nil when it has to be sent.
func (b *base) find(d digest) *content {
	b.once.Do(b.index)
	if c := b.contents[d]; c != nil {
		return c
	}
	if b.sent != nil {
		if c := b.sent.find(d); c != nil && b.has(c.pack) {
			return c
		}
	}
	return nil
}

func (b *base) index() {
	if b.manifest == nil {
		return
	}
	b.contents = make(map[digest]*content, len(b.manifest.Chunks))
	for _, c := range b.named() {
		if b.packs[c.pack.id()] {
			b.contents[c.digest] = c
		}
	}
}

const (
	// leastRepack is how much a save packs anew at least, where that is
	// useful; beyond it, a sixteenth of the whole.
	leastRepack = 8 << 20
	// fewPacks are read quickly however little of each is in use.
	fewPacks = 4
)

// poorPacks chooses packs of which so little is still in use that a save packs
// it anew: a row of saves drags no tail of old packs along, and a restore
// reads few. The poorest come first, within a bound on what is sent for it.
func poorPacks(m *manifest) []bool {
	live := make([]int64, len(m.Packs))
	total := int64(0)
	for _, c := range m.Chunks {
		live[c.Pack] += int64(c.Stored)
		total += int64(c.Stored)
	}
	poor := make([]bool, len(m.Packs))
	var candidates []int
	for i := range m.Packs {
		// A pack may be small because little had changed; then it is the many
		// of them that cost, and they are packed together.
		if worth := max(m.Packs[i].Size, packSize/4); live[i] < worth/2 {
			candidates = append(candidates, i)
		}
	}
	slices.SortFunc(candidates, func(a, b int) int { return cmp.Compare(live[a], live[b]) })
	small := 0
	for _, i := range candidates {
		if m.Packs[i].Size < packSize/4 && live[i] >= m.Packs[i].Size/2 {
			small++
		}
	}
	budget := max(leastRepack, total/16)
	for _, i := range candidates {
		wasted := live[i] < m.Packs[i].Size/2
		if !wasted && small <= fewPacks {
			continue
		}
		if budget -= live[i]; budget < 0 {
			break
		}
		poor[i] = true
	}
	return poor
}
