// Package redis has the scenarios of Redis with Sentinel: one master at a time, and what a planned change acknowledged is kept.
package redis
