package checkpointing

import (
	"errors"
	"io"
)

const (
	// sketchLeast is the size from which on it is worth while to look whether
	// a file's content has moved.
	sketchLeast = 4 << 20
	// sampleLength is how much of a file is looked at in each place, and
	// sampleReach how far around it the content is looked for later.
	sampleLength = 256 << 10
	sampleReach  = 1 << 20
	// anchorBits is how many bits of the hash are zero at an anchor, one in
	// two thousand bytes. leastAnchors are no chance.
	anchorBits   = 11
	leastAnchors = 8
)

// sketch is where marked bytes lay in a few places of a file. By it a save
// notices, before it reads a file, that the content has moved since the last
// one, as after an insertion; then all fixed regions differ though most of the
// content is the same.
type sketch struct {
	cut     bool // the file was cut by its content
	samples []sample
}

// sample is one place of a sketch.
type sample struct {
	offset  int64
	anchors map[uint64]int64 // offset in the file by hash
}

// samplePlaces are at powers of two, so that they stay as a file grows.
func samplePlaces(size int64) []int64 {
	half := int64(sketchLeast / 2)
	for 2*half <= size/2 {
		half *= 2
	}
	places := []int64{0, half / 2, half}
	if half+half/2+sampleLength <= size {
		places = append(places, half+half/2)
	}
	return places
}

// anchorsOf finds the marked bytes in a stretch of a file. Marks that come
// twice, as in content that repeats itself, mark nothing.
func anchorsOf(data []byte, offset int64) map[uint64]int64 {
	anchors := map[uint64]int64{}
	hash := uint64(0)
	for i, b := range data {
		hash = hash<<1 + gear[b]
		if hash>>(64-anchorBits) != 0 || i < window {
			continue
		}
		if _, twice := anchors[hash]; twice {
			anchors[hash] = -1
		} else {
			anchors[hash] = offset + int64(i)
		}
	}
	for hash, at := range anchors {
		if at < 0 {
			delete(anchors, hash)
		}
	}
	return anchors
}

// hasMoved tells whether a file is better cut by its content, and makes its
// sketch for the next save.
func (l *reader) hasMoved() (bool, error) {
	if l.look.size < sketchLeast || l.look.allocated < l.look.size {
		return false, nil
	}
	now := new(sketch)
	for _, offset := range samplePlaces(l.look.size) {
		anchors, err := l.anchors(offset, offset+sampleLength)
		if err != nil {
			return false, err
		}
		now.samples = append(now.samples, sample{offset, anchors})
	}
	l.sketch = now
	if l.before == nil {
		return false, nil
	}
	if l.before.sketch == nil { // known from a manifest alone
		now.cut = l.before.isCut()
		return now.cut, nil
	}
	known, moved, err := l.compare(l.before.sketch, now)
	if err != nil {
		return false, err
	}
	// A file that was cut by its content stays so as long as it is much the
	// same, since changing over means sending all of it.
	now.cut = moved || l.before.sketch.cut && known
	return now.cut, nil
}

// compare tells whether samples are known again, and whether elsewhere.
func (l *reader) compare(before, now *sketch) (known, moved bool, err error) {
	for _, old := range before.samples {
		for _, fresh := range now.samples {
			if fresh.offset != old.offset {
				continue
			}
			same, _ := meet(old.anchors, fresh.anchors)
			if enoughAnchors(same, len(old.anchors)) {
				known = true
				continue
			}
			around, err := l.anchors(old.offset-sampleReach, old.offset+sampleLength+sampleReach)
			if err != nil {
				return false, false, err
			}
			if _, elsewhere := meet(old.anchors, around); enoughAnchors(elsewhere, len(old.anchors)) {
				known, moved = true, true
			}
		}
	}
	return known, moved, nil
}

func enoughAnchors(n, of int) bool { return n >= leastAnchors && n >= of/4 }

// meet counts the anchors that are in both, at the same place and elsewhere.
func meet(a, b map[uint64]int64) (same, elsewhere int) {
	for hash, at := range a {
		switch there, found := b[hash]; {
		case found && there == at:
			same++
		case found:
			elsewhere++
		}
	}
	return same, elsewhere
}

// anchors are those of a stretch of the file, as far as it is one.
func (l *reader) anchors(from, to int64) (map[uint64]int64, error) {
	from, to = max(from, 0), min(to, l.look.size)
	data := make([]byte, max(to-from, 0))
	err := l.file.readAt(data, from)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, nil // it became shorter; its job notices that too
	}
	if err != nil {
		return nil, localError("save", l.r.s.scanner.shown(l.found.Path), err)
	}
	return anchorsOf(data, from), nil
}

// isCut tells whether a file's chunks are other than fixed regions.
func (i *item) isCut() bool {
	for n, p := range i.parts {
		if p.offset%regionSize != 0 || n < len(i.parts)-1 && p.content.size != regionSize {
			return true
		}
	}
	return false
}
