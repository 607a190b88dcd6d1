package checkpointing

const (
	// A file into which something was inserted is cut where its content says
	// so, at bytes that come after 64 others with a certain hash. So the cuts
	// move with the content.
	cutLeast = regionSize / 2
	cutMost  = 4 * regionSize
	// cutBits is how many bits of the hash are zero at a cut: on average that
	// is regionSize/2 after cutLeast.
	cutBits = 19
	cutMask = (1<<cutBits - 1) << (64 - cutBits)
	// window is how many bytes the hash depends on.
	window = 64
	// stride is how much is read at once in search of a cut.
	stride = regionSize / 4
	// spares is how many buffers such a job has.
	spares = 3
)

// gear gives each byte value a number (SplitMix64 from a fixed seed), as Gear
// hashing does (Xia and others, FastCDC, 2016). It is part of no format: other
// cuts only share less.
var gear = func() (table [256]uint64) {
	state := uint64(0x73706f7472656c61)
	for i := range table {
		state += 0x9e3779b97f4a7c15
		z := state
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		table[i] = z ^ z>>31
	}
	return table
}()

// findCut is where data is cut, looking from byte from on, of which all before
// has been looked at; 0 when there is no cut in it.
func findCut(data []byte, from int) int {
	from = max(from, cutLeast)
	if from >= len(data) {
		return 0
	}
	hash := uint64(0)
	for _, b := range data[from-window : from] {
		hash = hash<<1 + gear[b]
	}
	for i, b := range data[from:] {
		hash = hash<<1 + gear[b]
		if hash&cutMask == 0 {
			return from + i + 1
		}
	}
	return 0
}

// cutByContent reads all of a file and cuts it by its content. It fills one
// buffer after the other.
func (w *worker) cutByContent() error {
	l := w.job.file
	var parts []part
	var total int64
	ahead := 0 // bytes after w.used that are read and not cut yet
	for offset, size := int64(0), l.look.size; offset < size; {
		if packSize-w.used < cutMost {
			if err := w.turnOver(ahead); err != nil {
				return err
			}
		}
		length, have, err := w.nextCut(offset, ahead)
		if err != nil {
			return err
		}
		start := w.used
		c, sent := w.take(w.job.buffer.data[start : start+length])
		if c != nil {
			parts = append(parts, part{offset: offset, content: c})
		}
		total += sent
		offset += int64(length)
		ahead = copy(w.job.buffer.data[w.used:], w.job.buffer.data[start+length:start+have])
		if err := w.r.ctx.Err(); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.parts[0] = parts
	l.sent += total
	return nil
}

// nextCut reads on until it knows where the chunk at offset ends. Of it, ahead
// bytes are in the buffer. It returns the chunk's length and what is read.
func (w *worker) nextCut(offset int64, ahead int) (length, have int, err error) {
	l := w.job.file
	rest := l.look.size - offset
	most := int(min(cutMost, rest))
	room := w.job.buffer.data[w.used:]
	looked := 0
	for have = ahead; ; {
		if cut := findCut(room[:min(have, most)], looked); cut > 0 {
			return cut, have, nil
		}
		if have >= most {
			return most, have, nil
		}
		looked = have
		more := min(max(stride, cutLeast-have), most-have)
		if err := w.read(l.file, room[have:have+more], offset+int64(have)); err != nil {
			return 0, 0, w.readError(err)
		}
		have += more
	}
}

// turnOver delivers the buffer and goes on in the next one with what is ahead.
func (w *worker) turnOver(ahead int) error {
	next, err := w.job.spare.next(w.r.ctx)
	if err != nil {
		return err
	}
	copy(next.data, w.job.buffer.data[w.used:w.used+ahead])
	full := w.filled(false)
	w.job.buffer, w.used, w.records = next, 0, nil
	return w.r.sequence.deliver(full)
}
