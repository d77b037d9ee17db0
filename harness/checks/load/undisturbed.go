package load

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"bitvault.dev/rollproof/harness/history"
	"bitvault.dev/rollproof/harness/judge"
	"bitvault.dev/rollproof/harness/resource"
	"bitvault.dev/rollproof/harness/timeline"
	"bitvault.dev/rollproof/harness/words"
)

// SlugUndisturbed is the name of the check.
const SlugUndisturbed = "load.undisturbed"

// Undisturbed accounts for all that happened to the stack under load. What nobody declared may be why a promise broke, or hide that one would
// have: inconclusive, never a failure, for the product did nothing wrong.
func Undisturbed(tolerance judge.Tolerance) judge.Check {
	return judge.Check{
		Slug:    SlugUndisturbed,
		Always:  true,
		Promise: "nothing disturbed the stack but what the scenario declared",
		Doc: judge.Doc{
			Proves: "Until the load and the writes of ledgers ended, each pod that ended was deleted or evicted by a disturbance, went with a node that one stopped, was replaced in its turn by an update " +
				"that one asked for, or was more than its ReplicaSet asked for by then; each " +
				"container that started anew was killed, frozen or updated by one, each touch of it once, was that of a PostgreSQL primary that lost its place while a disturbance of its store went on, started the first time since one stopped its node and that was missed, or is of a release that is bad on purpose; " +
				"each node that stopped being Ready, or went away, was stopped by one; each cordon and uncordon of a node was made by one; " +
				"and each change of what a Rollout, a ReplicaSet, a Deployment, a StatefulSet, a PostgreSQL cluster, a disruption budget or a weighted TraefikService asks for was made by one, or by " +
				"the controller of it: whoever writes the status of Rollouts, made the ReplicaSet or a StatefulSet that it keeps, or scales as the horizontal autoscaler does. " +
				"The turn of a StatefulSet's pod comes when it is of an older revision, and each of a higher ordinal that the StatefulSet asks for is there, Ready and of the new one, " +
				"but for one less than its maxUnavailable, which may be away; that of an operator's pod when as many others are Ready as there were when the update began.",
			Cannot: "See namespaces that are not watched, or objects of other kinds, such as Services; Deployments, StatefulSets and PostgreSQL clusters are seen where the stack names them. " +
				"Tell a hand that deletes a pod in its very turn from the controller, or any hand from an operator that deletes the pods of a StatefulSet with OnDelete. It cannot name who deleted a pod, or uncordoned a node: Kubernetes keeps that in its " +
				"audit log alone, so that an uncordon while a disturbance has the node cordoned is taken for its own.",
			Inconclusive: "On anything else, with who wrote the object and when, and what Kubernetes' events say. It never fails. It is skipped where the record does " +
				"not tell who wrote objects: one without a cluster, or one of an older rollproof.",
		},
		Needs: []judge.Need{asked, {What: "word of who wrote the objects of a cluster", Met: isAuthored}},
		Rests: []string{"pods", "nodes", "replicasets", "rollouts", "poddisruptionbudgets", "traefikservices", resource.StatefulSets.Name, resource.PostgresClusters.Name,
			resource.Deployments.Name},
		During: timeline.UnderProbes,
		Late:   tolerance.Propagation,
		New: func(t *timeline.Timeline) judge.Fold {
			return &undisturbed{Ruling: judge.Ruling{Timeline: t}, tolerance: tolerance, until: t.ProbesEnd()}
		},
	}
}

// asked is the need of what may hurt whatever is asked of the stack: hits, or the writes of a ledger. Probes that were planned and are not there do not
// excuse it.
var asked = judge.Need{What: "load and no ledger of writes", Met: func(t *timeline.Timeline) bool { return Carried.Met(t) || len(t.Ledgers)+len(t.Run.Probes) > 0 }}

func isAuthored(t *timeline.Timeline) bool {
	c := &t.Cluster
	return hasAuthors(c.Nodes) || hasAuthors(c.ReplicaSets) || hasAuthors(c.Budgets) || hasAuthors(c.Rollouts) || hasAuthors(c.TraefikServices)
}

func hasAuthors[T any](tracks []*timeline.Track[T]) bool {
	return slices.ContainsFunc(tracks, func(track *timeline.Track[T]) bool {
		return slices.ContainsFunc(track.Seen, func(s timeline.Seen[T]) bool { return len(s.By) > 0 })
	})
}

type undisturbed struct {
	judge.Ruling
	tolerance judge.Tolerance
	until     time.Duration // what happens later cannot hurt what was asked of the stack
	known     uint64        // what was accounted for
}

func (f *undisturbed) Result() judge.Promise {
	f.ends()
	f.restarts()
	f.nodes()
	f.specs()
	var p judge.Promise
	f.Into(&p, words.Plural(f.known, "change")+" of the stack until load and ledgers ended: each was declared, or is a controller's own")
	return p
}

// happened accounts for something, or notes it.
func (f *undisturbed) happened(at time.Duration, accounted bool, uid, text string, evidence ...string) {
	switch {
	case at > f.until:
	case accounted:
		f.known++
	default:
		f.Unsure(judge.Finding{At: at, Text: text + ", which nobody declared", Evidence: append(evidence, f.said(uid, at)...)})
	}
}

// said is what Kubernetes' events say of an object about a moment.
func (f *undisturbed) said(uid string, at time.Duration) []string {
	var all []string
	for _, event := range f.Timeline.Cluster.Events {
		for _, s := range event.Seen {
			if o := &s.Object; uid != "" && o.Involved.UID == uid && (s.At-at).Abs() <= f.tolerance.Propagation {
				all = append(all, fmt.Sprintf("event of %s: %s: %s", cmp.Or(o.Source, "nobody named"), o.Reason, o.Message))
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// touched counts the disturbances that may have done this to an object by a moment.
func (f *undisturbed) touched(effect history.Effect, resource, namespace, name, uid string, at time.Duration) int {
	return len(f.touching(effect, resource, namespace, name, uid, at))
}

// touching are the disturbances that may have done this to an object by a moment.
func (f *undisturbed) touching(effect history.Effect, resource, namespace, name, uid string, at time.Duration) []*timeline.Disturbance {
	var all []*timeline.Disturbance
	for _, d := range f.Timeline.Disturbances {
		if d.GoesOn(at, f.tolerance.Propagation) && touches(d, effect, resource, namespace, name, uid) > 0 {
			all = append(all, d)
		}
	}
	return all
}

// touches is how often a disturbance says that it did this to an object.
func touches(d *timeline.Disturbance, effect history.Effect, resource, namespace, name, uid string) (times int) {
	for _, t := range d.Touched {
		same := t.UID == uid || t.UID == "" || uid == ""
		if t.Effect == effect && t.Resource == resource && t.Namespace == namespace && t.Name == name && same {
			times++
		}
	}
	return times
}

// during reports whether a disturbance that fits goes on at a moment.
func (f *undisturbed) during(at time.Duration, fits func(*timeline.Disturbance) bool) bool {
	return slices.ContainsFunc(f.Timeline.Disturbances, func(d *timeline.Disturbance) bool {
		return fits(d) && d.GoesOn(at, f.tolerance.Propagation)
	})
}

func (f *undisturbed) nodes() {
	for _, node := range f.Timeline.Cluster.Nodes {
		// What is drained, or cordoned, runs on: only a node that is switched off stops being Ready of it, and only until it is back.
		stopped := func(at time.Duration) bool {
			return slices.ContainsFunc(f.Timeline.Disturbances, func(d *timeline.Disturbance) bool { return d.Stops(node.Name) && d.GoesOn(at, f.tolerance.Watch) })
		}
		for i := 1; i < len(node.Seen); i++ {
			was, now := &node.Seen[i-1], &node.Seen[i]
			if was.Object.Unschedulable != now.Object.Unschedulable {
				ours := f.writer("nodes", "", node.Name, node.UID, now.At)
				// A field that is gone has no manager any more: nothing tells who uncordoned a node.
				what, declared := "uncordoned", f.touched(history.Changes, "nodes", "", node.Name, node.UID, now.At) > 0
				if now.Object.Unschedulable {
					what, declared = "cordoned", slices.ContainsFunc(now.By, ours)
				}
				declared = declared && (wroteNone(now.By) || wroteOnly(now.By, ours, isTainter))
				f.happened(now.At, declared, node.UID, "node "+node.Name+" was "+what, writers(now.By)...)
			}
			if was.Object.Ready && !now.Object.Ready {
				f.happened(now.At, stopped(now.At), node.UID, "node "+node.Name+" stopped being Ready")
			}
		}
		if !node.Here() {
			f.happened(node.Gone, stopped(node.Gone), node.UID, "node "+node.Name+" went away")
		}
	}
}

// specs accounts for changes of what objects ask for.
func (f *undisturbed) specs() {
	c := &f.Timeline.Cluster
	controllers := controllersOf(c.Rollouts)
	changes(f, "rollouts", c.Rollouts, func(o *resource.Rollout) any { return o.Generation }, isScaler, isOneOf(controllers))
	changes(f, "poddisruptionbudgets", c.Budgets, func(o *resource.PDB) any { return o.Generation })
	changes(f, "traefikservices", c.TraefikServices, func(o *resource.TraefikService) any { return o.Generation }, isOneOf(controllers))
	for _, set := range c.ReplicaSets {
		makers := append(managers(set.Seen[0].By, ""), controllers...)
		changes(f, "replicasets", []*timeline.Track[resource.ReplicaSet]{set}, func(o *resource.ReplicaSet) any { return o.Desired }, isOneOf(makers))
	}
	orders(f, "rollouts", c.Rollouts, controllers)
	changes(f, resource.Deployments.Name, timeline.TracksOf(f.Timeline, resource.Deployments), func(o *resource.Deployment) any { return o.Generation }, isScaler)
	f.stores()
}

// stores accounts for changes of what keeps stores: a StatefulSet that an operator made is changed by it, what an operator keeps by nobody else.
func (f *undisturbed) stores() {
	for _, set := range timeline.TracksOf(f.Timeline, resource.StatefulSets) {
		var operator []string
		if set.Seen[0].Object.Owner != nil {
			operator = managers(set.Seen[0].By, "")
		}
		changes(f, resource.StatefulSets.Name, []*timeline.Track[resource.StatefulSet]{set}, func(o *resource.StatefulSet) any { return o.Generation }, isScaler, isOneOf(operator))
	}
	clusters := timeline.TracksOf(f.Timeline, resource.PostgresClusters)
	changes(f, resource.PostgresClusters.Name, clusters, func(o *resource.PostgresCluster) any { return o.Generation })
	orders(f, resource.PostgresClusters.Name, clusters, controllersOf(clusters))
}

// author tells whether whoever wrote an object is one who may.
type author func(history.Author) bool

// isOneOf is whoever is one of some managers, and wrote the object itself.
func isOneOf(some []string) author {
	return func(a history.Author) bool { return a.Subresource == "" && slices.Contains(some, a.Manager) }
}

// isScaler is the horizontal pod autoscaler.
func isScaler(a history.Author) bool {
	return a.Subresource == "scale" && a.Manager == "kube-controller-manager"
}

// writer is a disturbance that may have changed an object by a moment.
func (f *undisturbed) writer(resource, namespace, name, uid string, at time.Duration) author {
	return func(a history.Author) bool {
		return a.Subresource != statusOf && a.Manager == history.DisturbanceManager && f.touched(history.Changes, resource, namespace, name, uid, at) > 0
	}
}

// isTainter is the controller that taints a node for what it is like, as when it is cordoned.
func isTainter(a history.Author) bool {
	return a.Subresource == "" && a.Manager == "kube-controller-manager"
}

// wroteNone reports whether only the status of an object was written.
func wroteNone(by []history.Author) bool {
	return !slices.ContainsFunc(by, func(a history.Author) bool { return a.Subresource != statusOf })
}

// wroteOnly reports whether it is told who wrote an object, and all of them may. Whoever wrote its status only changed nothing that it asks for.
func wroteOnly(by []history.Author, may ...author) bool {
	wrote := slices.DeleteFunc(slices.Clone(by), func(a history.Author) bool { return a.Subresource == statusOf })
	return len(wrote) > 0 && !slices.ContainsFunc(wrote, func(a history.Author) bool {
		return !slices.ContainsFunc(may, func(is author) bool { return is(a) })
	})
}

// changes accounts for each change of what the objects of a resource ask for, which those may write who are known to, and for each that goes
// away; a ReplicaSet that asks for nothing by then is tidied up.
func changes[T any](f *undisturbed, kind string, tracks []*timeline.Track[T], asks func(*T) any, known ...author) {
	for _, track := range tracks {
		name := nameOf(kind, track.Namespace, track.Name)
		for i := 1; i < len(track.Seen); i++ {
			was, now := &track.Seen[i-1], &track.Seen[i]
			if asks(&was.Object) == asks(&now.Object) {
				continue
			}
			declared := f.writer(kind, track.Namespace, track.Name, track.UID, now.At)
			// A field that is gone has no manager any more: nothing tells who took it away, as a disturbance does that is undone.
			undone := len(now.By) > 0 && wroteNone(now.By) && f.touched(history.Changes, kind, track.Namespace, track.Name, track.UID, now.At) > 0
			f.happened(now.At, undone || wroteOnly(now.By, append(known, declared)...), track.UID, name+" was changed", writers(now.By)...)
		}
		if idle, is := any(track.Last()).(*resource.ReplicaSet); !track.Here() && !(is && idle.Desired == 0) {
			gone := f.touched(history.Ends, kind, track.Namespace, track.Name, track.UID, track.Gone) > 0
			f.happened(track.Gone, gone, track.UID, name+" was deleted")
		}
	}
}

// nameOf names an object to people.
func nameOf(kind, namespace, name string) string {
	plural, _, _ := strings.Cut(kind, ".")
	return strings.TrimSuffix(plural, "s") + " " + namespace + "/" + name
}

// orders accounts for what is written into the status of objects by other hands than their controller's: so a release is promoted or aborted
// on the command line, and the lead of a store handed over.
func orders[T any](f *undisturbed, kind string, tracks []*timeline.Track[T], controllers []string) {
	for _, track := range tracks {
		for _, now := range track.Seen[1:] {
			for _, a := range now.By {
				if a.Subresource != statusOf || slices.Contains(controllers, a.Manager) {
					continue
				}
				ours := a.Manager == history.DisturbanceManager && f.touched(history.Changes, kind, track.Namespace, track.Name, track.UID, now.At) > 0
				f.happened(now.At, ours, track.UID, nameOf(kind, track.Namespace, track.Name)+" was given an order", writers([]history.Author{a})...)
			}
		}
	}
}

// statusOf is the subresource that controllers write what they did into.
const statusOf = "status"

// managers are those who wrote a subresource, or with "" the object itself.
func managers(by []history.Author, subresource string) []string {
	var all []string
	for _, a := range by {
		if a.Subresource == subresource {
			all = append(all, a.Manager)
		}
	}
	return all
}

// controllersOf is who controls the objects of a kind: whoever wrote their status when it was first seen. Orders of ours are no mark of a controller.
func controllersOf[T any](tracks []*timeline.Track[T]) []string {
	var all []string
	for _, track := range tracks {
		for _, s := range track.Seen {
			wrote := slices.DeleteFunc(managers(s.By, statusOf), func(m string) bool { return m == history.DisturbanceManager })
			if len(wrote) > 0 {
				all = append(all, wrote...)
				break
			}
		}
	}
	return all
}

// writers says who wrote an object, and when.
func writers(by []history.Author) []string {
	if len(by) == 0 {
		return []string{"the record does not tell who wrote it"}
	}
	var all []string
	for _, a := range by {
		text := fmt.Sprintf("written by %s (%s)", a.Manager, cmp.Or(strings.TrimSpace(a.Operation+" "+a.Subresource), "how is not told"))
		if !a.At.IsZero() {
			text += " at " + a.At.UTC().Format(time.RFC3339)
		}
		all = append(all, text)
	}
	return all
}
