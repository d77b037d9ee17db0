// Package accesslog turns access logs of web servers, proxies and load balancers into traffic that can be replayed (docs/traffic.md).
//
// A log is read line by line. A format (see Formats) takes a line apart; what it finds is then judged by one set of rules for all
// formats: which request lines are requests (request.go), which path was asked for (path.go), which status a replay may expect
// (status.go). A line that gives no request is left out for a Reason, which is counted. The requests are put in the order of time by a
// merge sort on disk (sort.go): memory does not grow with the log.
package accesslog
