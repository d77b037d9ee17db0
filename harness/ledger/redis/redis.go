// Package redis keeps ledgers of keys that are set on the master that the sentinels of a Redis name.
package redis

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/ledger"
	"bitvault.dev/rollproof/harness/wait"
)

const (
	// Name is the kind of store.
	Name = "redis"

	dialWithin     = time.Second
	upToDateWithin = 15 * time.Second // a replica that was restarted last
	lookEvery      = 200 * time.Millisecond
	sayWithin      = 300 * time.Millisecond // what each server says of itself in one look
	together       = 1000                   // keys that are scanned, read or removed at once
)

// Open asks the sentinels, which are the target's addresses, for the master of the target's name. Nothing is made.
func Open(ctx context.Context, plan ledger.Plan, keys string) (ledger.Store, error) {
	s := &store{master: plan.Target.Name, keys: keys, servers: map[string]*redis.Client{}}
	for _, address := range plan.Target.Addresses {
		s.sentinels = append(s.sentinels, redis.NewSentinelClient(options(address)))
	}
	address, err := s.lookUp(ctx)
	if err == nil {
		var info string
		if info, err = s.server(address).Info(ctx, "server").Result(); err == nil {
			s.version = fieldOf(info, "redis_version")
			return s, nil
		}
	}
	return nil, errors.Join(fmt.Errorf("find master %q of Redis by the sentinels at %s: %w", s.master, strings.Join(plan.Target.Addresses, ", "), err), s.close())
}

// options are those of every connection: what fails is told, and tried again by nobody but the ledger.
func options(address string) *redis.Options {
	return &redis.Options{
		Addr: address, Protocol: 2, MaxRetries: -1, DialerRetries: 1, DialTimeout: dialWithin, PoolSize: 64, ContextTimeoutEnabled: true,
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := (&net.Dialer{Timeout: dialWithin}).DialContext(ctx, network, addr)
			if err != nil {
				return nil, &ledger.NotWrittenError{Err: err} // nothing is sent without a connection
			}
			return conn, nil
		},
	}
}

type store struct {
	master, keys string
	version      string
	sentinels    []*redis.SentinelClient

	mu      sync.Mutex
	servers map[string]*redis.Client // by address
	now     string                   // address of the master, as a sentinel said last
}

func (s *store) server(address string) *redis.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	client := s.servers[address]
	if client == nil {
		client = redis.NewClient(options(address))
		s.servers[address] = client
	}
	return client
}

// Versions names go-redis and the master that was there first.
func (s *store) Versions() map[string]string {
	return map[string]string{"go-redis": redis.Version(), "redis-server": s.version}
}

// lookUp asks one sentinel after another for the address of the master.
func (s *store) lookUp(ctx context.Context) (string, error) {
	var errs []error
	for _, sentinel := range s.sentinels {
		at, err := sentinel.GetMasterAddrByName(ctx, s.master).Result()
		if err == nil && len(at) == 2 {
			address := net.JoinHostPort(at[0], at[1])
			s.mu.Lock()
			s.now = address
			s.mu.Unlock()
			return address, nil
		}
		errs = append(errs, err)
	}
	return "", errors.Join(errs...)
}

func (s *store) current() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// Write sets the key on the master. Who refuses it has not done it: a server answers with an error before it changes anything.
func (s *store) Write(ctx context.Context, op ledger.Op) (ledger.Ack, error) {
	address := s.current()
	err := s.server(address).Set(ctx, op.Key, op.Key, 0).Err()
	if err == nil {
		return ledger.Ack{By: address}, nil
	}
	_, _ = s.lookUp(ctx) // for the next try
	var refused redis.Error
	if errors.As(err, &refused) {
		return ledger.Ack{}, &ledger.NotWrittenError{Err: err}
	}
	return ledger.Ack{}, err
}

// View is whom the sentinels name, which replicas they see following, and who of all of them leads by its own word.
func (s *store) View(ctx context.Context) history.View {
	leader, err := s.lookUp(ctx)
	if err != nil {
		return history.View{Error: "no sentinel names a master"}
	}
	view := history.View{Leader: leader}
	known := []string{leader}
	replicas, _ := s.replicas(ctx) // where no sentinel tells them the leader alone is asked
	for _, r := range replicas {
		known = append(known, r.address)
		if r.follows {
			view.Members = append(view.Members, r.address)
		}
	}
	slices.Sort(view.Members)
	slices.Sort(known)
	view.Masters = s.which(ctx, slices.Compact(known), s.leads)
	if len(view.Masters) > 1 {
		view.Writable = s.writable(ctx, view.Masters)
	}
	return view
}

// which are the servers of which something holds. All are asked at once: one that does not answer holds up no other.
func (s *store) which(ctx context.Context, servers []string, holds func(context.Context, string) bool) []string {
	ctx, cancel := context.WithTimeout(ctx, sayWithin)
	defer cancel()
	are := make([]bool, len(servers))
	var all sync.WaitGroup
	for i, address := range servers {
		all.Go(func() { are[i] = holds(ctx, address) })
	}
	all.Wait()
	var those []string
	for i, address := range servers {
		if are[i] {
			those = append(those, address)
		}
	}
	return those
}

// leads reports whether a server says of itself that it is a master.
func (s *store) leads(ctx context.Context, address string) bool {
	info, err := s.server(address).Info(ctx, "replication").Result()
	return err == nil && fieldOf(info, "role") == "master"
}

// writable are the servers that take writes at one and the same time: each took one before all others did, and another one after that. A hand-over
// between two looks is none of it.
func (s *store) writable(ctx context.Context, masters []string) []string {
	before := s.which(ctx, masters, s.takesWrites)
	if len(before) < 2 {
		return nil
	}
	return s.which(ctx, before, s.takesWrites)
}

// takesWrites has a server remove a key that nobody sets: it refuses that as any write where it is a replica, and holds it back while writes are paused.
func (s *store) takesWrites(ctx context.Context, address string) bool {
	return s.server(address).Unlink(ctx, s.keys+"none").Err() == nil
}

type replica struct {
	address string
	follows bool
}

// replicas are those that a sentinel knows.
func (s *store) replicas(ctx context.Context) ([]replica, error) {
	var errs []error
	for _, sentinel := range s.sentinels {
		known, err := sentinel.Replicas(ctx, s.master).Result()
		if err != nil {
			errs = append(errs, err)
			continue
		}
		var all []replica
		for _, r := range known {
			all = append(all, replica{net.JoinHostPort(r["ip"], r["port"]), r["master-link-status"] == "ok" && !strings.Contains(r["flags"], "down")})
		}
		return all, nil
	}
	return nil, errors.Join(errs...)
}

// Members are the master and all replicas that the sentinels know, those too that are away.
func (s *store) Members(ctx context.Context) ([]string, error) {
	leader, err := s.lookUp(ctx)
	if err != nil {
		return nil, err
	}
	all := []string{leader}
	replicas, err := s.replicas(ctx)
	for _, r := range replicas {
		if !slices.Contains(all, r.address) { // an old master that is not yet told of the new one is known twice
			all = append(all, r.address)
		}
	}
	return all, err
}

// Read reads every key of the ledger that a server has, once it follows the master and has what that has.
func (s *store) Read(ctx context.Context, member string, found func(ledger.Entry)) error {
	if err := s.upToDate(ctx, member); err != nil {
		return err
	}
	return s.scan(ctx, s.server(member), func(client *redis.Client, keys []string) error {
		values, err := client.MGet(ctx, keys...).Result()
		if err != nil {
			return err
		}
		for i, value := range values {
			if value != keys[i] {
				keys[i] += " with another value"
			}
			found(ledger.Entry{Key: keys[i]})
		}
		return nil
	})
}

// scan goes through the keys of the ledger. SCAN may name a key more than once.
func (s *store) scan(ctx context.Context, client *redis.Client, each func(*redis.Client, []string) error) error {
	seen := map[string]bool{}
	var cursor uint64
	for {
		keys, next, err := client.Scan(ctx, cursor, s.keys+"*", together).Result()
		if err != nil {
			return err
		}
		keys = slices.DeleteFunc(keys, func(key string) bool {
			again := seen[key]
			seen[key] = true
			return again
		})
		if len(keys) > 0 {
			if err := each(client, keys); err != nil {
				return err
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// upToDate waits until a server is the master, or has applied all that the master had written when it was asked.
func (s *store) upToDate(ctx context.Context, member string) error {
	return wait.Until(ctx, "member "+member+" to be up to date", upToDateWithin, lookEvery, func(ctx context.Context) (bool, string, error) {
		leader, err := s.lookUp(ctx)
		if err != nil {
			return false, "", err
		}
		there, err := s.server(leader).Info(ctx, "replication").Result()
		if err != nil {
			return false, "", err
		}
		here, err := s.server(member).Info(ctx, "replication").Result()
		if err != nil {
			return false, "", err
		}
		role, link := fieldOf(here, "role"), fieldOf(here, "master_link_status")
		has, want := fieldOf(here, "slave_repl_offset"), fieldOf(there, "master_repl_offset")
		if member == leader {
			return role == "master", "role " + role, nil
		}
		return role == "slave" && link == "up" && has == want, fmt.Sprintf("role %s, link %s, at offset %s of %s", role, link, has, want), nil
	})
}

// fieldOf is a field of what INFO says.
func fieldOf(info, name string) string {
	lines := bufio.NewScanner(strings.NewReader(info))
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// Close removes the keys of the ledger from the master.
func (s *store) Close(ctx context.Context) error {
	err := s.scan(ctx, s.server(s.current()), func(client *redis.Client, keys []string) error { return client.Unlink(ctx, keys...).Err() })
	if err != nil {
		err = fmt.Errorf("remove the keys %s* from Redis: %w", s.keys, err)
	}
	return errors.Join(err, s.close())
}

func (s *store) close() error {
	var errs []error
	for _, sentinel := range s.sentinels {
		errs = append(errs, sentinel.Close())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, client := range s.servers {
		errs = append(errs, client.Close())
	}
	return errors.Join(errs...)
}
