// Package load holds the promises on the load itself: that its record is whole, that it really ran, and that nothing of it was dropped.
package load
