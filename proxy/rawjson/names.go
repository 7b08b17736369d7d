package rawjson

// fewNames is how many names are compared one by one; more go into a map.
const fewNames = 8

// names tells whether a name was there before. The zero value is empty.
type names struct {
	count int
	few   [fewNames]string
	many  map[string]struct{}
}

// add takes the raw text of a name, quotes included. It reports false when the name is there, however either is escaped.
func (n *names) add(raw []byte) bool {
	name := unquote(raw)
	defer func() { n.count++ }()
	if n.many != nil {
		_, had := n.many[name]
		n.many[name] = struct{}{}
		return !had
	}
	for _, other := range n.few[:n.count] {
		if other == name {
			return false
		}
	}
	if n.count < fewNames {
		n.few[n.count] = name
		return true
	}
	n.many = make(map[string]struct{}, 4*fewNames)
	for _, other := range n.few {
		n.many[other] = struct{}{}
	}
	n.many[name] = struct{}{}
	return true
}
