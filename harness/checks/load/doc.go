// Package load holds the promises on the load itself: that its record is whole, that it really ran, that nothing of it was dropped, and that
// nobody waited.
package load
