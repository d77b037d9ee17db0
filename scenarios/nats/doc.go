// Package nats has the scenarios of NATS JetStream: what it acknowledged is kept, whichever way its servers go.
package nats
