package watch

import (
	"context"
	"errors"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/store"
)

// statuses are the status documents that were read, with the version of each.
type statuses struct {
	documents map[string]job.Status
	versions  map[string]string
}

// Statuses reads the status documents of living instances that changed since
// the last call, and gives all of them by instance. The map is the watcher's.
func (w *Watcher) Statuses(ctx context.Context) (map[string]job.Status, error) {
	s := &w.statuses
	if s.documents == nil {
		s.documents, s.versions = map[string]job.Status{}, map[string]string{}
	}
	for id := range s.documents {
		if w.State.Instances[id] == nil {
			delete(s.documents, id)
			delete(s.versions, id)
		}
	}
	for document, err := range store.ListDocuments(ctx, w.Bucket, w.Run) {
		if err != nil {
			return s.documents, err
		}
		if err := w.readStatus(ctx, document); err != nil {
			return s.documents, err
		}
	}
	return s.documents, nil
}

func (w *Watcher) readStatus(ctx context.Context, document store.Document) error {
	s := &w.statuses
	if document.Name != store.StatusName || w.State.Instances[document.Instance] == nil || s.versions[document.Instance] == document.Object.Version {
		return nil
	}
	status, object, err := store.ReadStatus(ctx, w.Bucket, w.Run, document.Instance)
	if errors.Is(err, bucket.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	s.documents[document.Instance], s.versions[document.Instance] = status, object.Version
	return nil
}
