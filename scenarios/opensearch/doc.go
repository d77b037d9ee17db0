// Package opensearch has the scenarios of OpenSearch: the shards of a node move away before it goes, and it is never red.
package opensearch
