// Package nats keeps ledgers of publications to a JetStream stream of NATS.
package nats

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/ledger"
	"bitvault.dev/rollproof/harness/wait"
)

const (
	// Name is the kind of store.
	Name = "nats"

	connectWithin   = 5 * time.Second
	upToDateWithin  = 15 * time.Second // a member that was restarted last
	forgetDuplicate = 2 * time.Minute  // the server's own default, well above a write's deadline
	lookEvery       = 200 * time.Millisecond
	together        = 500 // messages that are fetched at once
)

// Connect is a connection for a ledger to the servers of some addresses, which is made anew for as long as it is open. Close it.
func Connect(ledger string, addresses ...string) (*nats.Conn, error) {
	conn, err := nats.Connect(strings.Join(addresses, ","),
		nats.Name("rollproof ledger "+ledger), nats.Timeout(connectWithin), nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond),
		nats.ReconnectBufSize(-1),                                     // what cannot be sent now is refused: nothing is sent later behind the ledger's back
		nats.PingInterval(2*time.Second), nats.MaxPingsOutstanding(2), // a server that is frozen closes no connection
	)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS at %s: %w", strings.Join(addresses, ", "), err)
	}
	return conn, nil
}

// Open makes a stream of its own for the ledger.
func Open(ctx context.Context, plan ledger.Plan, keys string) (ledger.Store, error) {
	conn, err := Connect(plan.Ledger, plan.Target.Addresses...)
	if err != nil {
		return nil, err
	}
	name := strings.TrimSuffix(keys, "-")
	s := &store{conn: conn, name: "ROLLPROOF-" + name, subject: "rollproof." + name}
	if s.js, err = jetstream.New(conn); err == nil {
		s.stream, err = s.js.CreateStream(ctx, jetstream.StreamConfig{
			Name: s.name, Subjects: []string{s.subject}, Replicas: plan.Target.Replicas, Storage: jetstream.FileStorage, Duplicates: forgetDuplicate,
		})
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("make stream %s with %d replicas on NATS %s: %w", s.name, plan.Target.Replicas, conn.ConnectedServerVersion(), err)
	}
	return s, nil
}

type store struct {
	conn          *nats.Conn
	js            jetstream.JetStream
	stream        jetstream.Stream
	name, subject string
}

// Versions names nats.go and the server that was connected to first.
func (s *store) Versions() map[string]string {
	return map[string]string{"nats.go": nats.Version, "nats-server": s.conn.ConnectedServerVersion()}
}

// Write publishes a message whose id is the key. That nobody listens to the subject is said by the server that would have passed it on.
func (s *store) Write(ctx context.Context, op ledger.Op) (ledger.Ack, error) {
	msg := nats.NewMsg(s.subject)
	msg.Data = []byte(op.Key)
	ack, err := s.js.PublishMsg(ctx, msg, jetstream.WithMsgID(op.Key), jetstream.WithExpectStream(s.name), jetstream.WithRetryAttempts(0))
	if err != nil {
		return ledger.Ack{}, NotPublished(err)
	}
	return ledger.Ack{Position: ack.Sequence, Duplicate: ack.Duplicate}, nil
}

// NotPublished is the error of a publication, a *ledger.NotWrittenError where it is certain that no server has it.
func NotPublished(err error) error {
	if errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, nats.ErrNoResponders) || errors.Is(err, nats.ErrReconnectBufExceeded) {
		return &ledger.NotWrittenError{Err: err}
	}
	return err
}

// View asks the stream who leads it.
func (s *store) View(ctx context.Context) history.View {
	cluster, _, err := s.info(ctx)
	if err != nil {
		return history.View{Error: "it does not answer"} // errors differ from time to time, and say no more than that
	}
	view := history.View{Leader: cluster.Leader}
	for _, peer := range cluster.Replicas {
		if peer.Current && !peer.Offline {
			view.Members = append(view.Members, peer.Name)
		}
	}
	slices.Sort(view.Members)
	return view
}

// info is who keeps the stream, and its last sequence as its leader has it.
func (s *store) info(ctx context.Context) (*jetstream.ClusterInfo, uint64, error) {
	info, err := s.stream.Info(ctx)
	if err != nil {
		return nil, 0, err
	}
	if info.Cluster == nil { // a single server
		return &jetstream.ClusterInfo{Leader: s.conn.ConnectedServerName()}, info.State.LastSeq, nil
	}
	return info.Cluster, info.State.LastSeq, nil
}

// Members are the leader and its peers.
func (s *store) Members(ctx context.Context) ([]string, error) {
	var names []string
	err := wait.Until(ctx, "a leader of stream "+s.name, upToDateWithin, lookEvery, func(ctx context.Context) (bool, string, error) {
		cluster, _, err := s.info(ctx)
		if err != nil {
			return false, "", err
		}
		names = nil
		if cluster.Leader != "" {
			names = append(names, cluster.Leader)
		}
		for _, peer := range cluster.Replicas {
			names = append(names, peer.Name)
		}
		return cluster.Leader != "", "no leader", nil
	})
	return names, err
}

// Read reads the stream from one member's own disk: a consumer with a single replica lives on one member of the stream, which its info names,
// and is fed from what that member has.
func (s *store) Read(ctx context.Context, member string, found func(ledger.Entry)) error {
	if err := s.upToDate(ctx, member); err != nil {
		return err
	}
	var entries []ledger.Entry
	err := wait.Until(ctx, "every message of member "+member, upToDateWithin, lookEvery, func(ctx context.Context) (bool, string, error) {
		var err error
		entries, err = s.readOnce(ctx, member) // from the beginning: a consumer that lost its server is no more
		return err == nil, "", err
	})
	if err != nil {
		return err
	}
	for _, e := range entries {
		found(e)
	}
	return nil
}

// readOnce reads the stream from one member's own disk by a consumer of its own.
func (s *store) readOnce(ctx context.Context, member string) (entries []ledger.Entry, err error) {
	consumer, err := s.consumerOn(ctx, member)
	if err != nil {
		return nil, err
	}
	for {
		batch, err := consumer.FetchNoWait(together)
		if err != nil {
			return nil, err
		}
		got := 0
		for msg := range batch.Messages() {
			got++
			meta, err := msg.Metadata()
			if err != nil {
				return nil, fmt.Errorf("read message %d: %w", got, err)
			}
			key := msg.Headers().Get(jetstream.MsgIDHeader)
			if key != string(msg.Data()) {
				key += " with other data"
			}
			entries = append(entries, ledger.Entry{Key: key, Position: meta.Sequence.Stream})
		}
		if err := batch.Error(); err != nil && !errors.Is(err, nats.ErrTimeout) {
			return nil, err
		}
		if got > 0 {
			continue
		}
		info, err := consumer.Info(ctx)
		if err != nil {
			return nil, err
		}
		if info.NumPending == 0 {
			return entries, nil
		}
		if err := wait.Pause(ctx, lookEvery); err != nil {
			return nil, fmt.Errorf("%d messages are still to come: %w", info.NumPending, err)
		}
	}
}

// upToDate waits until a member says that it has all that the leader has.
func (s *store) upToDate(ctx context.Context, member string) error {
	return wait.Until(ctx, "member "+member+" to be up to date", upToDateWithin, lookEvery, func(ctx context.Context) (bool, string, error) {
		cluster, _, err := s.info(ctx)
		if err != nil {
			return false, "", err
		}
		if cluster.Leader == member {
			return true, "", nil
		}
		for _, peer := range cluster.Replicas {
			if peer.Name == member {
				return peer.Current && !peer.Offline && peer.Lag == 0, fmt.Sprintf("current %v, offline %v, %d operations behind", peer.Current, peer.Offline, peer.Lag), nil
			}
		}
		return false, "it is none of the stream", nil
	})
}

// consumerOn makes consumers until one lives on the member. The server chooses where.
func (s *store) consumerOn(ctx context.Context, member string) (consumer jetstream.Consumer, err error) {
	err = wait.Until(ctx, "a consumer on member "+member, upToDateWithin, 20*time.Millisecond, func(ctx context.Context) (bool, string, error) {
		made, err := s.stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
			AckPolicy: jetstream.AckNonePolicy, DeliverPolicy: jetstream.DeliverAllPolicy, Replicas: 1, MemoryStorage: true, InactiveThreshold: time.Minute,
		})
		if err != nil {
			return false, "", err
		}
		info := made.CachedInfo()
		where := s.conn.ConnectedServerName()
		if info.Cluster != nil {
			where = info.Cluster.Leader
		}
		if where == member {
			consumer = made
			return true, "", nil
		}
		return false, "one on " + where, s.stream.DeleteConsumer(ctx, info.Name)
	})
	return consumer, err
}

// Close removes the stream.
func (s *store) Close(ctx context.Context) error {
	defer s.conn.Close()
	if err := s.js.DeleteStream(ctx, s.name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("remove stream %s: %w", s.name, err)
	}
	return nil
}
