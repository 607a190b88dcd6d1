//go:build unix

package main

import (
	_ "github.com/spotrelay/spotrelay/checkpointing/bucket/gcsbucket" // opens gs://
	_ "github.com/spotrelay/spotrelay/checkpointing/bucket/s3bucket"  // opens s3://
)
