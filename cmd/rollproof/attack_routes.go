package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/words"
)

// printRoutes says of each route what became of its hits. A run of one route has said so already.
func printRoutes(w io.Writer, result judge.Result) error {
	for _, p := range result.Promises {
		if len(p.Routes) == 0 {
			continue
		}
		fmt.Fprintln(w)
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight|tabwriter.TabIndent)
		fmt.Fprintln(table, "verdict\tsent\tdropped\tat most\tp50\tp95\tp99\tmax\t  route")
		for _, r := range p.Routes {
			l := r.Latency
			if l == nil {
				l = &judge.Latency{}
			}
			fmt.Fprintf(table, "%s\t%d\t%d\t%s\t%s\t%s\t%s\t%s\t  %s\n", r.Verdict, r.Sent, r.Dropped, worth(r), latency(l.P50), latency(l.P95), latency(l.P99), latency(l.Max), r.Name)
		}
		if err := table.Flush(); err != nil {
			return fmt.Errorf("show the routes: %w", err)
		}
	}
	return nil
}

// worth is the share of requests that may be dropped all the same, at 95 %, where none was.
func worth(r judge.Route) string {
	if r.Verdict != judge.Pass {
		return "-"
	}
	return words.Percent(r.MaxLossShare)
}

// latency writes a latency; "-" without one.
func latency(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return words.Column(d)
}
