package checkpointing

import (
	"cmp"
	"slices"
)

const (
	// spanGap is how much of a pack is read in vain rather than asking twice:
	// what comes through in the time of an answer.
	spanGap = 512 << 10
	// spanMost bounds a read, so that several share the work.
	spanMost = packSize
)

// span is a stretch of a pack that is read at once.
type span struct {
	pack   *pack
	from   int
	to     int
	chunks []int // in the order of their offsets
}

// spansOf gathers the chunks that are needed into few reads.
func spansOf(m *manifest, needed []int) []span {
	slices.SortFunc(needed, func(a, b int) int {
		x, y := &m.Chunks[a], &m.Chunks[b]
		return cmp.Or(cmp.Compare(x.Pack, y.Pack), cmp.Compare(x.Offset, y.Offset))
	})
	var spans []span
	for _, i := range needed {
		c := &m.Chunks[i]
		end := c.Offset + c.Stored
		if n := len(spans); n > 0 {
			last := &spans[n-1]
			if last.pack == &m.Packs[c.Pack] && c.Offset >= last.to && c.Offset-last.to <= spanGap && end-last.from <= spanMost {
				last.to = end
				last.chunks = append(last.chunks, i)
				continue
			}
		}
		spans = append(spans, span{pack: &m.Packs[c.Pack], from: c.Offset, to: end, chunks: []int{i}})
	}
	return spans
}
