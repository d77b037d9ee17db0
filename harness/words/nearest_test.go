package words

import "testing"

func TestUnknownAsksForTheNearest(t *testing.T) {
	for _, c := range []struct {
		typed string
		names []string
		want  string
	}{
		{"tol", []string{"floor", "house", "tool"}, `there is no room "tol": did you mean tool? There are floor, house and tool`},
		{"hause", []string{"house"}, `there is no room "hause": did you mean house? There are house`},
		{"", []string{"a", "bath"}, `there is no room "": did you mean a? There are a and bath`},
		{"zzzzzzzzzzzzz", []string{"floor", "house"}, `there is no room "zzzzzzzzzzzzz": there are floor and house`},
		{"öfen", []string{"ofen", "oven"}, `there is no room "öfen": did you mean ofen? There are ofen and oven`},
		{"tool", nil, `there is no room "tool": there are none`},
	} {
		if got := Unknown("room", c.typed, c.names).Error(); got != c.want {
			t.Errorf("of %q in %q it says\n%s, want\n%s", c.typed, c.names, got, c.want)
		}
	}
}
