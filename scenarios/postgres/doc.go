// Package postgres has the scenarios of PostgreSQL as CloudNativePG runs it: what was committed is kept, whichever way the primary goes.
package postgres
