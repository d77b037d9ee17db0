// Package checks is the catalogue of promises. Each area has a folder, each check of it a file: its slug, what it promises, how it is
// judged and its own budgets.
package checks
