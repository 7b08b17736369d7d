package config

import (
	"reflect"
	"slices"
	"strings"
)

// decoder fills values from nodes according to the tags of the structs. After a mistake it
// continues, to find the others.
type decoder struct {
	*report
	bad map[*node]bool // nodes that contain a mistake; the cross checks skip them
}

// defaulter is a struct with defaults.
type defaulter interface{ setDefaults() }

var defaulterType = reflect.TypeFor[defaulter]()

// setDefaults fills a new value with its defaults, if it has any.
func setDefaults(v reflect.Value) {
	if v.Addr().Type().Implements(defaulterType) {
		v.Addr().Interface().(defaulter).setDefaults()
	}
}

// value decodes n into v. It reports whether n was readable.
func (d *decoder) value(n *node, v reflect.Value, c column) bool {
	ok := n.kind != kindBroken && d.shape(n, v, c)
	if !ok {
		d.bad[n] = true
	}
	return ok
}

// shape decodes n according to the kind of v.
func (d *decoder) shape(n *node, v reflect.Value, c column) bool {
	switch {
	case v.Type() == jsonType:
		return d.json(n, v)
	case v.Type() == onErrorType && n.kind == kindNull: // the word null, which YAML reads as no value
		v.SetString(string(OnErrorNull))
		return true
	}
	if s := scalarOf(v.Type(), c); s != nil {
		return d.scalar(n, v, c, s)
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		setDefaults(v.Elem())
		return d.value(n, v.Elem(), c)
	case reflect.Slice:
		return d.list(n, v, c)
	case reflect.Map:
		return d.dictionary(n, v, c)
	}
	if v.Type() == targetType && n.kind == kindScalar {
		return d.shortTarget(n, v)
	}
	return d.structure(n, v, columns(v.Type()))
}

// expect reports whether n has the wanted kind, and adds a problem if not.
func (d *decoder) expect(n *node, want kind, name string) bool {
	switch n.kind {
	case want:
		return true
	case kindBroken:
	case kindNull:
		d.at(n, problemf("%s is missing", name).or("write a value, or leave the key out"))
	default:
		d.at(n, problemf("expected %s, found %v", name, n.kind))
	}
	return false
}

// scalar decodes a single value.
func (d *decoder) scalar(n *node, v reflect.Value, c column, s *scalar) bool {
	if !d.expect(n, kindScalar, s.name) {
		return false
	}
	if p := c.choose(n); p != nil {
		d.at(n, p)
		return false
	}
	x, p := s.read(n)
	if p == nil {
		p = c.bound(s, x)
	}
	if p != nil {
		d.at(n, p.discreet(n, s))
		return false
	}
	v.Set(reflect.ValueOf(x).Convert(v.Type()))
	return true
}

// list decodes a list. An empty list becomes nil. If that would look like an omitted list, the
// column refuses it.
func (d *decoder) list(n *node, v reflect.Value, c column) bool {
	if n.kind == kindScalar {
		d.at(n, problemf("expected a list, found %v", n.kind).or("write [%s]", clip(n.source)))
		return false
	}
	if !d.expect(n, kindList, "a list") {
		return false
	}
	if len(n.items) == 0 && c.empty != "" {
		d.at(n, problemf("the list is empty").or("%s", c.empty))
		return false
	}
	v.SetZero()
	ok := true
	for _, item := range n.items {
		e := reflect.New(v.Type().Elem()).Elem()
		if e.Kind() == reflect.Struct {
			setDefaults(e)
		}
		if !d.value(item, e, c) {
			ok = false
			fill(e)
		}
		v.Set(reflect.Append(v, e)) // append even a bad value, so that the index is the index in the file
	}
	return d.distinct(n) && ok
}

// fill replaces an unreadable value by an empty one, so that no list or map holds a nil.
func fill(e reflect.Value) {
	if e.Kind() == reflect.Pointer && e.IsNil() && e.Type() != urlType {
		e.Set(reflect.New(e.Type().Elem()))
		setDefaults(e.Elem())
	}
}

// distinct refuses a single value that occurs twice in a list, because the second one has no
// effect.
func (d *decoder) distinct(n *node) bool {
	seen := make(map[string]bool, len(n.items))
	for _, item := range n.items {
		if seen[item.text] && item.kind == kindScalar {
			d.at(item, problemf("%s occurs twice", item.quoted()))
			return false
		}
		seen[item.text] = true
	}
	return true
}

// dictionary decodes a map whose keys the user chooses.
func (d *decoder) dictionary(n *node, v reflect.Value, c column) bool {
	if !d.expect(n, kindMap, "a map") {
		return false
	}
	v.SetZero()
	ok := true
	for _, f := range n.fields {
		key := reflect.New(v.Type().Key()).Elem()
		if !d.key(f.key, key, c) {
			ok = false
			continue
		}
		if !v.IsNil() && v.MapIndex(key).IsValid() {
			d.atKey(f.key, problemf("the key occurs twice").or("the case of field names does not matter"))
			ok = false
			continue
		}
		e := reflect.New(v.Type().Elem()).Elem()
		if !d.value(f.value, e, column{as: c.as}) {
			ok = false
			fill(e)
		}
		if v.IsNil() {
			v.Set(reflect.MakeMap(v.Type()))
		}
		v.SetMapIndex(key, e)
	}
	return ok
}

// key decodes a key of a map. The column's bounds apply to it.
func (d *decoder) key(n *node, v reflect.Value, c column) bool {
	c = column{as: c.keyAs, min: c.min, max: c.max}
	s := scalarOf(v.Type(), c)
	text := *n
	text.plain = true
	x, p := s.read(&text)
	if p == nil && !s.quoted && s.print(x) != n.text {
		p = problemf("%s is not %s", n.quoted(), s.name) // 0404: two spellings of one key
	}
	if p == nil {
		p = c.bound(s, x)
	}
	if p != nil {
		d.atKey(n, p)
		return false
	}
	v.Set(reflect.ValueOf(x).Convert(v.Type()))
	return true
}

// structure decodes a map whose keys are the keys of a struct.
func (d *decoder) structure(n *node, v reflect.Value, cs []column) bool {
	if n.kind == kindScalar {
		d.at(n, problemf("expected a map, found %v", n.kind).or("%s", mapHint(v.Type(), n, cs)))
		return false
	}
	if !d.expect(n, kindMap, "a map") {
		return false
	}
	ok, later := true, false
	for _, f := range n.fields {
		c, known := findColumn(cs, f.key.text)
		switch {
		case known:
			ok = d.value(f.value, v.Field(c.index), c) && ok
		case slices.Contains(laterKeys[v.Type()], f.key.text):
			d.atKey(f.key, unsupported())
			ok, later = false, true
		case foreignWord(v.Type(), f.key.text) != "":
			d.atKey(f.key, problemf("unknown key").or("write %s", foreignWord(v.Type(), f.key.text)))
			ok = false
		default:
			d.atKey(f.key, problemf("unknown key").or("%s", suggestion(f.key.text, knownKeys(v.Type(), cs))))
			ok = false
		}
	}
	if later { // the requirements of an unsupported part are unknown
		return false
	}
	return d.required(n, cs) && ok
}

// required reports a problem if a required key is missing.
func (d *decoder) required(n *node, cs []column) bool {
	var missing []string
	for _, c := range cs {
		if c.required && n.get(c.key) == nil {
			missing = append(missing, "`"+c.key+"`")
		}
	}
	switch len(missing) {
	case 0:
	case 1:
		d.at(n, problemf("%s is missing", missing[0]))
	default:
		d.at(n, problemf("%s are missing", strings.Join(missing, " and ")))
	}
	return missing == nil
}

var targetType = reflect.TypeFor[Target]()

// shortTarget decodes a target that is only a URL.
func (d *decoder) shortTarget(n *node, v reflect.Value) bool {
	c, _ := findColumn(columns(targetType), "url")
	return d.value(n, v.Field(c.index), c)
}
