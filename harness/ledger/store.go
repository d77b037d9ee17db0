// Package ledger keeps a ledger of acknowledged writes to a data store: what was intended, what the store said of it, and what each of its
// members has in the end. A Writer, in a pod beside the store, writes it to a file; a Probe, in the harness, pulls the file into the record of
// a run. It knows no store: each is a package below this one.
package ledger

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"bitvault.dev/rollproof/harness/history"
)

// Op is one intended write.
type Op struct {
	Number uint64 // counts the operations of a ledger from 0
	Key    string // under which it is written; no other operation of any ledger has it
}

// Ack is what a store said of a write that it has.
type Ack struct {
	By        string // the member that said so, where the answer tells
	Position  uint64 // where the store has it; 0 where it does not say
	Duplicate bool   // it had it already
}

// Entry is what a member of a store has.
type Entry struct {
	Key      string
	Position uint64
}

// Store is what a ledger writes to. Its methods but Close are safe for concurrent use, and end with their context.
type Store interface {
	// Write writes an operation once. Writing one again changes nothing. The error is a *NotWrittenError only where it is certain that the
	// store does not have it: whatever may have been sent without an answer may be there.
	Write(ctx context.Context, op Op) (Ack, error)
	// View is what the store says of itself now. Its At is left open.
	View(ctx context.Context) history.View
	// Members names all members that keep what is written.
	Members(ctx context.Context) ([]string, error)
	// Read tells of each entry that a member has, and of no other member's. It is an error not to have read all.
	Read(ctx context.Context, member string, found func(Entry)) error
	// Versions names the client library, and the store as far as it tells.
	Versions() map[string]string
	// Close removes what was made in the store for the ledger, and lets go of it.
	Close(ctx context.Context) error
}

// Effective is a Store whose writes are messages that are to have an effect, which is what its only member has.
type Effective interface {
	// Effects says how what was read came about. It is asked once, after that member was read.
	Effects(ctx context.Context) (history.Effects, error)
}

// Opener makes a store ready for the ledger of a plan. Keys are what all keys of the ledger begin with: what it makes is named so.
type Opener func(ctx context.Context, plan Plan, keys string) (Store, error)

// NotWrittenError says that a store certainly does not have what was to be written.
type NotWrittenError struct{ Err error }

func (e *NotWrittenError) Error() string { return e.Err.Error() }

func (e *NotWrittenError) Unwrap() error { return e.Err }

// Plan says which ledger is to be written.
type Plan struct {
	Run    string `json:"run"`    // id of the run that it is for
	Ledger string `json:"ledger"` // name of the ledger in its record
	Store  string `json:"store"`  // kind of store
	Target Target `json:"target"`

	Rate     float64       `json:"rate"`     // writes per second, whether they are answered or not
	InFlight int           `json:"inFlight"` // most at once; what is due beyond that starts late
	Deadline time.Duration `json:"deadline"` // of one write with all its tries, from its start
	Try      time.Duration `json:"try"`      // of one try
}

// Target is where the store is.
type Target struct {
	Addresses []string `json:"addresses"` // as the store's own client takes them, without a password: they are told in logs
	Name      string   `json:"name,omitempty"`
	User      string   `json:"user,omitempty"` // who writes, where the store asks
	Password  string   `json:"password,omitempty"`
	Replicas  int      `json:"replicas"` // members that each write should be on
}

// withDefaults fills in what a plan leaves open.
func (p Plan) withDefaults() Plan {
	if p.InFlight == 0 {
		p.InFlight = 256
	}
	if p.Deadline == 0 {
		p.Deadline = 10 * time.Second
	}
	if p.Try == 0 {
		p.Try = 2 * time.Second
	}
	return p
}

// Valid says what is wrong with a plan.
func (p Plan) Valid() error {
	switch {
	case p.Run == "" || p.Ledger == "" || p.Store == "":
		return errors.New("plan a ledger: name the run, the ledger and the store")
	case strings.ContainsFunc(p.Ledger, func(r rune) bool { return r != '-' && (r < 'a' || r > 'z') && (r < '0' || r > '9') }):
		return fmt.Errorf("plan ledger %q: its name may have small letters, digits and hyphens", p.Ledger)
	case len(p.Target.Addresses) == 0 || slices.Contains(p.Target.Addresses, ""):
		return fmt.Errorf("plan ledger %s: name the addresses of the store", p.Ledger)
	case !(p.Rate > 0) || math.IsInf(p.Rate, 0) || p.Rate > 1e6:
		return fmt.Errorf("plan ledger %s: %v writes a second: want more than 0, and at most a million", p.Ledger, p.Rate)
	case p.Target.Replicas < 1:
		return fmt.Errorf("plan ledger %s: each write should be on %d members: want at least 1", p.Ledger, p.Target.Replicas)
	case p.InFlight < 1 || p.Deadline <= 0 || p.Try <= 0:
		return fmt.Errorf("plan ledger %s: want at least one write in flight, and more than no time for it and for each try", p.Ledger)
	}
	return nil
}
