// Package reports makes the views of a judged record: JUnit XML for CI, JSON for programs, a summary for the terminal and one
// HTML file for people. A view adds nothing: what it says is in the record or in the judgement, and a view of anything but
// a pass is never green.
package reports
