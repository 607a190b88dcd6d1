package checkpointing

// mark is what the system kept of a file when a save read it, and what changes
// with any change of the file. With its size and time it is a signature, on
// the same boot of the same machine.
type mark struct {
	device, inode uint64
	changed       int64 // ctime
}

func markOf(s signature) mark { return mark{device: s.device, inode: s.inode, changed: s.changed} }

// signature is that of a file of a manifest as it was read.
func (e *entry) signature() signature {
	return signature{device: e.Mark.device, inode: e.Mark.inode, size: e.Size, modified: e.Modified, changed: e.Mark.changed}
}

// markedItems are the files of a manifest that was saved on this boot of this
// machine, by their paths, as they were read; nil otherwise.
func markedItems(m *manifest, contents []*content) map[string]*item {
	if m.Place == "" || m.Place != place() {
		return nil
	}
	items := itemsOf(m, contents)
	byPath := make(map[string]*item, len(m.Entries))
	for i := range m.Entries {
		if e := &m.Entries[i]; e.Type == typeFile {
			items[i].signature = e.signature()
			byPath[e.Path] = &items[i]
		}
	}
	return byPath
}

// itemsOf are a manifest's files as items, by their index, without signatures.
// How much of them the last save sent is not known: it may have been all.
func itemsOf(m *manifest, contents []*content) []item {
	count := 0
	for i := range m.Entries {
		count += len(m.Entries[i].Extents)
	}
	items, parts := make([]item, len(m.Entries)), make([]part, count)
	for i := range m.Entries {
		e := &m.Entries[i]
		n := len(e.Extents)
		items[i].likely, items[i].parts, parts = e.Size, parts[:n:n], parts[n:]
		for j, x := range e.Extents {
			items[i].parts[j] = part{offset: x.Offset, content: contents[x.Chunk]}
		}
	}
	return items
}
