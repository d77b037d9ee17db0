// Package postgres keeps ledgers of rows that are committed to PostgreSQL, and reads each instance for itself.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/ledger"
	"bitvault.dev/rollproof/harness/wait"
)

const (
	// Name is the kind of store.
	Name = "postgres"

	connectWithin  = 2 * time.Second
	upToDateWithin = 15 * time.Second // an instance that was restarted last
	lookEvery      = 200 * time.Millisecond
	connections    = 16 // 100 writes a second need two: more are made at once, and slowly, whenever the primary went
)

// Open makes a table of its own for the ledger. The target's first address is a connection string to write to, which finds the primary by itself, as a
// Service does; each other one is that of an instance to be read, however the cluster stands. They say the database; a user and password of the target
// are for all of them.
func Open(ctx context.Context, plan ledger.Plan, keys string) (ledger.Store, error) {
	addresses := plan.Target.Addresses
	if len(addresses) < 2 {
		return nil, errors.New("name the address of the primary, and that of each instance")
	}
	s := &store{table: pgx.Identifier{"rollproof_" + strings.ReplaceAll(strings.TrimSuffix(keys, "-"), "-", "_")}.Sanitize()}
	var err error
	if s.writes, err = Pool(ctx, plan.Target, addresses[0], connections); err != nil {
		return nil, err
	}
	for _, address := range addresses[1:] {
		instance, err := Pool(ctx, plan.Target, address, 2)
		if err != nil {
			s.close()
			return nil, err
		}
		config := instance.Config().ConnConfig
		s.instances = append(s.instances, member{fmt.Sprintf("%s:%d", config.Host, config.Port), instance})
	}
	s.View(ctx) // so that the first write is known by its instance's name too
	err = s.writes.QueryRow(ctx, "SHOW server_version").Scan(&s.version)
	if err == nil {
		_, err = s.writes.Exec(ctx, "CREATE TABLE "+s.table+" (key text PRIMARY KEY, value text NOT NULL)")
	}
	if err != nil {
		s.close()
		return nil, fmt.Errorf("make table %s in PostgreSQL at %s: %s", s.table, s.writes.Config().ConnConfig.Host, OneLine(err))
	}
	return s, nil
}

// OneLine is an error without its line breaks, of which pgx makes some, and without a password.
func OneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// Pool has at most so many connections to an address, with the login of a target. It connects when it is used. Close it.
func Pool(ctx context.Context, target ledger.Target, address string, most int32) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(address)
	if err != nil {
		return nil, fmt.Errorf("read an address of PostgreSQL: %s", OneLine(err))
	}
	config.MaxConns = most
	if target.User != "" {
		config.ConnConfig.User, config.ConnConfig.Password = target.User, target.Password
	}
	config.ConnConfig.ConnectTimeout = connectWithin
	dialer := net.Dialer{Timeout: connectWithin, KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 2 * time.Second, Interval: time.Second, Count: 3}}
	config.ConnConfig.DialFunc = dialer.DialContext
	return pgxpool.NewWithConfig(ctx, config)
}

type member struct {
	name string
	pool *pgxpool.Pool
}

type store struct {
	table, version string
	writes         *pgxpool.Pool
	instances      []member
	names          sync.Map // of instances, by the address that they have for themselves: behind a Service it is another than that they are reached by
}

// Versions names pgx and the server that was there first.
func (s *store) Versions() map[string]string {
	return map[string]string{"pgx": "v5", "postgres": s.version}
}

// Write inserts the row, and tells who took it. A try that is cut off in the middle may be committed: it is unknown. One that finds the row there
// writes it again, so that its commit waits for a standby too: the first one may have been cut off while it waited, and be on the primary alone.
func (s *store) Write(ctx context.Context, op ledger.Op) (ledger.Ack, error) {
	conn, err := s.writes.Acquire(ctx)
	if err != nil {
		return ledger.Ack{}, &ledger.NotWrittenError{Err: err} // nothing is sent without a connection
	}
	defer conn.Release()
	var added bool
	var by string
	err = conn.QueryRow(ctx, "INSERT INTO "+s.table+" VALUES ($1, $1) ON CONFLICT (key) DO UPDATE SET value = excluded.value RETURNING xmax = 0, "+ownAddress,
		op.Key).Scan(&added, &by)
	if err == nil {
		return ledger.Ack{By: s.nameOf(by), Duplicate: !added}, nil
	}
	if refused(err) {
		err = &ledger.NotWrittenError{Err: err}
	}
	return ledger.Ack{}, err
}

// ownAddress is the address that a server has for itself.
const ownAddress = "coalesce(host(inet_server_addr()), '') || ':' || coalesce(inet_server_port(), 0)::text"

// nameOf is the name of the instance that had an address for itself when it was asked last; the address itself where none had.
func (s *store) nameOf(address string) string {
	if name, known := s.names.Load(address); known {
		return name.(string)
	}
	return address
}

// refused reports whether a server said that the statement was not done. Of those that end a connection or cancel a commit (class 57) nobody knows:
// a commit that only waits for a standby is there.
func refused(err error) bool {
	var said *pgconn.PgError
	return errors.As(err, &said) && !strings.HasPrefix(said.Code, "57") && !strings.HasPrefix(said.Code, "08") || pgconn.SafeToRetry(err)
}

// View is which instance takes writes, and which follow it.
func (s *store) View(ctx context.Context) history.View {
	var view history.View
	var leaders, answered int
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, m := range s.instances {
		all.Go(func() {
			standby, err := s.standby(ctx, m)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
			case standby:
				answered++
				view.Members = append(view.Members, m.name)
			default:
				answered++
				leaders++
				view.Leader = m.name
			}
		})
	}
	all.Wait()
	slices.Sort(view.Members)
	switch {
	case leaders > 1:
		view.Error = fmt.Sprintf("%d instances take writes", leaders)
	case answered == 0:
		view.Error = "no instance answers"
	}
	return view
}

// standby reports whether an instance follows another one, and learns the address that it has for itself.
func (s *store) standby(ctx context.Context, m member) (is bool, err error) {
	var address string
	if err = m.pool.QueryRow(ctx, "SELECT pg_is_in_recovery(), "+ownAddress).Scan(&is, &address); err == nil {
		s.names.Store(address, m.name)
	}
	return is, err
}

// Members are the instances that were named.
func (s *store) Members(context.Context) ([]string, error) {
	var names []string
	for _, m := range s.instances {
		names = append(names, m.name)
	}
	return names, nil
}

// Read reads every row that one instance has, once it has applied all that the primary had written when it was asked.
func (s *store) Read(ctx context.Context, name string, found func(ledger.Entry)) error {
	i := slices.IndexFunc(s.instances, func(m member) bool { return m.name == name })
	if i < 0 {
		return errors.New("it is no instance")
	}
	if err := s.upToDate(ctx, s.instances[i]); err != nil {
		return err
	}
	rows, err := s.instances[i].pool.Query(ctx, "SELECT key, value FROM "+s.table)
	if err != nil {
		return err
	}
	var key, value string
	_, err = pgx.ForEachRow(rows, []any{&key, &value}, func() error {
		if value != key {
			key += " with another value"
		}
		found(ledger.Entry{Key: key})
		return nil
	})
	return err
}

func (s *store) upToDate(ctx context.Context, m member) error {
	var want string
	return wait.Until(ctx, "instance "+m.name+" to be up to date", upToDateWithin, lookEvery, func(ctx context.Context) (bool, string, error) {
		if want == "" {
			if err := s.writes.QueryRow(ctx, "SELECT pg_current_wal_flush_lsn()::text").Scan(&want); err != nil {
				return false, "", err
			}
		}
		var there bool
		var at string
		err := m.pool.QueryRow(ctx, "SELECT at >= $1::pg_lsn, at::text FROM (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()"+
			" ELSE pg_current_wal_flush_lsn() END AS at) AS here", want).Scan(&there, &at)
		return there, fmt.Sprintf("at %s of %s", at, want), err
	})
}

// Close removes the table.
func (s *store) Close(ctx context.Context) error {
	defer s.close()
	if _, err := s.writes.Exec(ctx, "DROP TABLE IF EXISTS "+s.table); err != nil {
		return fmt.Errorf("remove table %s: %s", s.table, OneLine(err))
	}
	return nil
}

func (s *store) close() {
	s.writes.Close()
	for _, m := range s.instances {
		m.pool.Close()
	}
}
