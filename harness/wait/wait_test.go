package wait

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestUntil(t *testing.T) {
	interrupt := errors.New("interrupted")
	cases := []struct {
		name string
		look func(n int, cancel context.CancelCauseFunc) (bool, string, error)
		want string // the error; "" for none
		is   error  // that it wraps
		took time.Duration
	}{
		{"there at once", func(int, context.CancelCauseFunc) (bool, string, error) { return true, "", nil }, "", nil, 0},
		{"there in the end", func(n int, _ context.CancelCauseFunc) (bool, string, error) { return n == 3, "", nil }, "", nil, 2 * time.Second},
		{"never there", func(n int, _ context.CancelCauseFunc) (bool, string, error) {
			return false, fmt.Sprint("look ", n), nil
		},
			"wait for it: not within 9.5 s: saw last: look 10", nil, 9500 * time.Millisecond},
		{"an error passes", func(n int, _ context.CancelCauseFunc) (bool, string, error) {
			if n < 3 {
				return true, "", errors.New("no route")
			}
			return true, "", nil
		}, "", nil, 2 * time.Second},
		{"errors to the end", func(int, context.CancelCauseFunc) (bool, string, error) { return false, "half", errors.New("no route") },
			"wait for it: not within 9.5 s: saw last: no route", nil, 9500 * time.Millisecond},
		{"broken off", func(n int, cancel context.CancelCauseFunc) (bool, string, error) {
			if n == 2 {
				cancel(interrupt)
			}
			return false, fmt.Sprint("look ", n), nil
		}, "wait for it: interrupted: saw last: look 1", interrupt, time.Second},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				n, began := 0, time.Now()
				err := Until(ctx, "it", 9500*time.Millisecond, time.Second, func(context.Context) (bool, string, error) {
					n++
					return c.look(n, cancel)
				})
				if c.want == "" && err != nil || c.want != "" && (err == nil || err.Error() != c.want) {
					t.Errorf("got %v, want %q", err, c.want)
				}
				if c.is != nil && !errors.Is(err, c.is) {
					t.Errorf("%v does not wrap %v", err, c.is)
				}
				if timeout := (*Timeout)(nil); c.want != "" && !errors.As(err, &timeout) {
					t.Errorf("%v is no *Timeout", err)
				}
				if took := time.Since(began); took != c.took {
					t.Errorf("it took %v, want %v", took, c.took)
				}
			})
		})
	}
}

// A look that hangs is cut off by the bound, and what it says of that is not what was seen.
func TestALookThatHangsIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		err := Until(t.Context(), "it", 5*time.Second, time.Second, func(ctx context.Context) (bool, string, error) {
			if n++; n == 1 {
				return false, "two of three", nil
			}
			<-ctx.Done()
			return false, "", ctx.Err()
		})
		if err == nil || err.Error() != "wait for it: not within 5 s: saw last: two of three" {
			t.Errorf("got %v", err)
		}
	})
}

func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if err := Pause(t.Context(), time.Minute); err != nil || time.Since(began) != time.Minute {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("why")
		cancel(why)
		if err := Pause(ctx, time.Hour); !errors.Is(err, why) {
			t.Errorf("got %v, want the cause", err)
		}
	})
}
