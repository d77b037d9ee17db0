package timeline

// OrderOf is the disturbance that ordered a release: the last one, of those that may be about its workload, that began before the release
// did, or else the first one that began at the same time as far as two watches can tell. It is nil when nobody ordered it here.
func (t *Timeline) OrderOf(r *Release) *Disturbance {
	var best *Disturbance
	for _, d := range t.Disturbances {
		began := d.First()
		switch {
		case !d.Workload.IsZero() && !t.SameWorkload(d.Workload, r.Workload):
		case began > r.Began+watchSkew || t.Clamp(d.Until()) < r.Began-watchSkew:
		case began > r.Began && best != nil:
		case best == nil || began >= best.First():
			best = d
		}
	}
	return best
}
