package discovery

import "fmt"

// Fault is where a request or an answer differs from the description.
type Fault struct {
	Where   string // "query.maxResults", "body.disks[0].autoDelete"
	Message string
}

func (f *Fault) Error() string { return f.Where + ": " + f.Message }

func fault(where, format string, values ...any) *Fault {
	return &Fault{Where: where, Message: fmt.Sprintf(format, values...)}
}
