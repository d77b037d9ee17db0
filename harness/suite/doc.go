// Package suite keeps the record of a command that performs several runs: what it was asked for, on which terms, and what has become of
// each run. From it a suite that was broken off is gone on with, and the shards of one suite are put together again.
package suite
