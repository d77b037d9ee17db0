//go:build bench

package nats_test

import (
	"context"
	"io"
	"slices"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"bitvault.dev/rollproof/harness/ledger"
	"bitvault.dev/rollproof/harness/ledger/nats"
)

// most is what a write of a ledger may cost at the most, of what the client library alone does.
const most = 1.1

// TestBenchWrite measures what one acknowledged write costs, by a ledger's writer with all that it writes down, and by the client library alone, in turns
// on one real server. Rounds are many and short, and their median counts: the machine does much else.
func TestBenchWrite(t *testing.T) {
	const rounds, writes = 31, 400
	c := startCluster(t, 1)
	plan := ledger.Plan{Run: "r", Ledger: "bench", Store: nats.Name, Target: ledger.Target{Addresses: c.addresses(), Replicas: 1}, Rate: 1, InFlight: 1, Deadline: time.Minute, Try: time.Minute}
	store, err := nats.Open(t.Context(), plan, ledger.Keys(plan, "w"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := store.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	w, err := ledger.NewWriter(plan, store, "w", io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	alone := clientAlone(t, c)
	var ours, theirs []time.Duration
	next := uint64(0)
	for range rounds {
		began := time.Now()
		for range writes {
			w.WriteOnce(t.Context(), next)
			next++
		}
		ours = append(ours, time.Since(began))
		began = time.Now()
		for range writes {
			alone(next)
			next++
		}
		theirs = append(theirs, time.Since(began))
	}
	slices.Sort(ours)
	slices.Sort(theirs)
	ratio := float64(ours[rounds/2]) / float64(theirs[rounds/2])
	t.Logf("a write: %v by the ledger, %v by the client library alone: %.3f times (at most %.1f)", ours[rounds/2]/writes, theirs[rounds/2]/writes, ratio, most)
	if ratio > most {
		t.Errorf("a write of a ledger costs %.3f times what the client library does, want at most %.1f", ratio, most)
	}
}

// clientAlone publishes as a program does that keeps no ledger.
func clientAlone(t *testing.T, c *cluster) func(n uint64) {
	t.Helper()
	conn, err := natsgo.Connect(c.addresses()[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "alone", Subjects: []string{"alone"}, Storage: jetstream.FileStorage}); err != nil {
		t.Fatal(err)
	}
	return func(n uint64) {
		key := ledger.Keys(ledger.Plan{Ledger: "bench"}, "alone") + time.Duration(n).String()
		msg := natsgo.NewMsg("alone")
		msg.Data = []byte(key)
		if _, err := js.PublishMsg(t.Context(), msg, jetstream.WithMsgID(key)); err != nil {
			t.Fatal(err)
		}
	}
}
