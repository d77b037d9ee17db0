package resource

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestSelectorText(t *testing.T) {
	cases := map[string]struct {
		selector *metav1.LabelSelector
		want     string
		fails    bool
	}{
		"none":        {},
		"all":         {selector: &metav1.LabelSelector{}, want: "*"},
		"labels":      {selector: &metav1.LabelSelector{MatchLabels: map[string]string{"tier": "web", "app": "api"}}, want: "app=api,tier=web"},
		"expressions": {selector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: "In", Values: []string{"b", "a"}}}}, want: "app in (a,b)"},
		"nonsense":    {selector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: "Like"}}}, fails: true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := selectorText(c.selector)
			if got != c.want || (err != nil) != c.fails {
				t.Errorf("%q, %v, want %q", got, err, c.want)
			}
		})
	}
}
