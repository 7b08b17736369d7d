package auth

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"

	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/edge/files"
)

// MaxKey is the greatest length of an API key.
const MaxKey = 512

// Keys is a set of API keys. It is immutable once it is used.
//
// It holds the SHA-256 of each key and looks up the SHA-256 of the presented one. The time of a
// lookup may depend on how much of the two digests agrees. It tells an attacker nothing: to choose
// the beginning of a digest, the attacker must try keys, and the digest of a tried key is as far from
// all others as chance puts it. So the comparison needs no constant time.
type Keys struct{ by map[[sha256.Size]byte]*apiKey }

type apiKey struct{ name, credential string }

// Add adds a key with the given digest. An error does not repeat the digest.
func (k *Keys) Add(name string, sum [sha256.Size]byte) error {
	if k.by == nil {
		k.by = make(map[[sha256.Size]byte]*apiKey)
	}
	if other := k.by[sum]; other != nil {
		return fmt.Errorf("%s has the same key as %s", name, other.name)
	}
	k.by[sum] = &apiKey{name, "key:" + string(sum[:])}
	return nil
}

// find returns the owner of a presented key, or nil. It may be called with a nil set.
func (k *Keys) find(presented string) *apiKey {
	if k == nil || len(presented) == 0 || len(presented) > MaxKey {
		return nil
	}
	var space [MaxKey]byte // on the stack
	return k.by[sha256.Sum256(space[:copy(space[:], presented)])]
}

// digestPrefix begins the digest of a key in place of the key.
const digestPrefix = "sha256:"

var keyName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// ParseKeys reads a file of keys: a name and a key a line, or a name and sha256: with the digest of a
// key in hexadecimal. A line that begins with # is a comment, and so is the rest of a line after the
// key. Errors name the line and repeat nothing of it.
func ParseKeys(text []byte) (*Keys, error) {
	keys, names := new(Keys), make(map[string]bool)
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	number := 0
	for line := range bytes.Lines(text) {
		number++
		words := strings.Fields(string(line))
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if err := keys.parseLine(words, names); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
	}
	return keys, nil
}

func (k *Keys) parseLine(words []string, names map[string]bool) error {
	if len(words) < 2 || len(words) > 2 && !strings.HasPrefix(words[2], "#") {
		return errors.New("write a name and a key, or a name and sha256: with the digest of a key")
	}
	name := words[0]
	switch {
	case !keyName.MatchString(name):
		return errors.New("the name must have letters, digits, `.`, `_` and `-`, at most 64")
	case names[name]:
		return fmt.Errorf("the name %s occurs twice; give each key its own", name)
	}
	names[name] = true
	sum, err := keyDigest(words[1])
	if err != nil {
		return err
	}
	return k.Add(name, sum)
}

func keyDigest(s string) (sum [sha256.Size]byte, err error) {
	digest, ok := strings.CutPrefix(s, digestPrefix)
	switch {
	case ok:
		if n, err := hex.Decode(sum[:], []byte(digest[:min(len(digest), 2*len(sum))])); err != nil || n != len(sum) || len(digest) != 2*len(sum) {
			return sum, errors.New("sha256: must be followed by 64 hexadecimal digits")
		}
		return sum, nil
	case len(s) > MaxKey:
		return sum, fmt.Errorf("the key is longer than %d bytes", MaxKey)
	case strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }):
		return sum, errors.New("the key must be visible ASCII")
	}
	return sha256.Sum256([]byte(s)), nil
}

// NewKeyWatcher returns a watcher of files of keys.
func NewKeyWatcher(log *slog.Logger) *files.Watcher[Keys] {
	return files.NewWatcher("API keys", ParseKeys, log)
}

// APIKeys judges requests by the API key in a field or a query parameter. A request with several
// keys is refused, since another reader of the request could take another one.
type APIKeys struct {
	Field, Param string
	Keys         *Keys             // nil if the configuration has none
	File         *files.File[Keys] // nil if there is no file
}

// Method returns the method.
func (a *APIKeys) Method() Method {
	var at []string
	if a.Field != "" {
		at = append(at, "header="+quoted(a.Field))
	}
	if a.Param != "" {
		at = append(at, "query="+quoted(a.Param))
	}
	return Method{Name: "api_keys", Judge: a, Challenge: "ApiKey " + strings.Join(at, ", "), Field: a.Field, Param: a.Param}
}

// quoted returns s as a quoted-string (RFC 9110 section 5.6.4). Bytes that must not be in one become
// question marks.
func quoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			b.WriteByte('?')
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// Lets implements Judge.
func (a *APIKeys) Lets(at *edge.Located) bool {
	key, reason := a.presented(at)
	return reason == "" && a.find(key) != nil
}

// Verdict implements Judge.
func (a *APIKeys) Verdict(at *edge.Located) Verdict {
	presented, reason := a.presented(at)
	if reason != "" {
		return Verdict{Reason: reason}
	}
	key := a.find(presented)
	if key == nil {
		return Verdict{Reason: UnknownKey}
	}
	return Verdict{Credential: key.credential, Subject: key.name}
}

func (a *APIKeys) find(presented string) *apiKey {
	if key := a.Keys.find(presented); key != nil || a.File == nil {
		return key
	}
	return a.File.Value().find(presented)
}

// presented returns the one key of a request, or the reason why there is no such key.
func (a *APIKeys) presented(at *edge.Located) (key string, reason Reason) {
	count := 0
	if a.Field != "" {
		key, count = at.Fields.Line(a.Field)
	}
	if a.Param != "" && at.Query != "" {
		value, n := edge.Param(at.Query, a.Param)
		if count += n; n > 0 {
			key = value
		}
	}
	switch count {
	case 0:
		return "", NoCredential
	case 1:
		return key, ""
	}
	return "", SeveralCredentials
}
