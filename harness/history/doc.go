// Package history is the record of a run: what was sent, what was answered, what changed and what was disturbed, on one
// clock. It is written as it happens, survives a kill -9 of the harness, and is read as a stream, so that a run of a day
// needs no more memory than a run of a second.
//
// A run is a directory:
//
//	run.json               what ran: scenario, pace, seed, versions, machine (written once, by rename)
//	events.jsonl           every event in the order it was recorded, one JSON object a line
//	hits-<arm>.bin         every hit of one arm, as a gob stream that vegeta's own decoder reads
//	writes-<ledger>.jsonl  every write of one ledger, and what each member of the store has of it, as the ledger's writer wrote it
//
// Readers never fail on a record that was cut short: they yield what is whole and report the rest as Damage, which a judge
// turns into "inconclusive".
package history
