// Package load makes the traffic of a run and records every hit of it. It is an open loop: the moment of every hit is fixed
// before it is sent, and neither a slow answer nor a late generator moves it. A hit that starts late is recorded with its lag,
// a hit that could not be started at all is recorded as unsent: nothing that was intended is ever missing from the record.
//
// vegeta paces and attacks. What goes over the wire is ours (see hitter): a deadline and an id for each hit, the whole body
// read and checked, the silent retries of Go's transport counted, and every failure classified.
//
// Load comes in arms, each with an attacker of its own, because each sees what the others hide:
//
//	get         GET, keep-alive. Go sends a GET again without telling when a reused connection breaks: such a hit is a success
//	            with Masked > 0.
//	post        POST with an Idempotency-Key, keep-alive: what a careful client does. Sent again likewise, likewise Masked.
//	post-close  POST without a key, a new connection for each hit. Nothing is ever sent again: every drop is a failed hit.
//	get-close   GET, a new connection for each hit. For servers where a POST would do something.
//	get-once    GET, keep-alive, and never sent again: what get masks is a failed hit here, as it is for a proxy or another client.
//	post-once   POST without a key, keep-alive, and never sent again, as a browser's POST.
//	control     GET, keep-alive, to a responder behind the same ingress that nothing disturbs.
//
// HTTP/1.1 is spoken unless Plan.HTTP2 asks for more: with HTTP/2 one connection carries many hits, and what breaks it fails them all.
package load
