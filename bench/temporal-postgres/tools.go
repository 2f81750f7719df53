//go:build tools

// What the benchmark builds to put Temporal on PostgreSQL: the server, and the tool that makes its schema.
package tools

import (
	_ "go.temporal.io/server/cmd/server"
	_ "go.temporal.io/server/cmd/tools/sql"
)
