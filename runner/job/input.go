package job

// SourceInput is files from outside that tasks read: imported into the bucket,
// content-addressed, when the run was submitted.
type SourceInput struct {
	Name string `json:"name"`
	// Source as the job file has it: "s3://...", "gs://..." or a folder.
	Source   string   `json:"source"`
	Manifest Manifest `json:"manifest"`
}
