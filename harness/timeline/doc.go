// Package timeline reduces the events of a record to what happened: arms and their windows, pods, releases and steps, drains, the
// objects of the cluster, and the times in which nobody watched. It is the one reducer: judges read it, and so may reports.
package timeline
