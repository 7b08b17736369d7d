package shared

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// kind is the way in which the servers of a URL form one Redis.
type kind uint8

const (
	single   kind = iota // one server
	sentinel             // a group whose Sentinels know the primary
	cluster              // Redis Cluster
)

// scheme describes the part of a URL before "://".
type scheme struct {
	kind   kind
	secure bool
	port   string // default port
}

func schemes() map[string]scheme {
	return map[string]scheme{
		"redis":           {single, false, "6379"},
		"rediss":          {single, true, "6379"},
		"redis+sentinel":  {sentinel, false, "26379"},
		"rediss+sentinel": {sentinel, true, "26379"},
		"redis+cluster":   {cluster, false, "6379"},
		"rediss+cluster":  {cluster, true, "6379"},
	}
}

// target is a parsed URL.
type target struct {
	scheme
	name             string // scheme
	addrs            []string
	user, password   string
	master           string
	db               int
	sentinelUser     string
	sentinelPassword string
	roots            *x509.CertPool // nil: the system's roots
}

// CheckURL returns an error if the URL of a Redis is invalid. The error never quotes a part that
// may be a password.
func CheckURL(raw string) error {
	_, err := parseURL(raw)
	return err
}

// parseURL parses
//
//	redis://user:password@host:port/db
//	redis+sentinel://user:password@host1:port1,host2:port2/master/db?sentinel_username=…&sentinel_password=…
//	redis+cluster://user:password@host1:port1,host2:port2
//
// and the same with rediss for TLS. With TLS, ?ca=file names a file with the root certificates.
func parseURL(raw string) (*target, error) {
	name, rest, ok := strings.Cut(raw, "://")
	s, known := schemes()[name]
	if !ok || !known {
		return nil, errors.New("shared: URL of Redis: the scheme must be redis, rediss, redis+sentinel, rediss+sentinel, redis+cluster or rediss+cluster")
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	t := &target{scheme: s, name: name}
	err := t.parse(rest[:end], rest[end:])
	if err != nil && strings.Contains(rest[end:], "@") {
		// The first "@" may be inside a password. Then an error could quote pieces of the password.
		return nil, errMalformed
	}
	return t, err
}

var errMalformed = errors.New("shared: URL of Redis: malformed URL; escape special characters in user, password and path as %XX")

// parse parses the part before the path, with the credentials and the hosts, and the rest.
func (t *target) parse(authority, rest string) (err error) {
	at := strings.LastIndex(authority, "@")
	if t.addrs, err = parseHosts(authority[at+1:], t.scheme); err != nil {
		return err
	}
	// net/url can't parse the list of hosts, but everything else.
	u, err := url.Parse("redis://" + authority[:at+1] + "host" + rest)
	if err != nil || u.Fragment != "" {
		return errMalformed
	}
	t.user = u.User.Username()
	t.password, _ = u.User.Password()
	if err := t.parsePath(strings.Split(strings.Trim(u.Path, "/"), "/")); err != nil {
		return err
	}
	return t.parseQuery(u.RawQuery)
}

func parseHosts(list string, s scheme) ([]string, error) {
	var addrs []string
	for host := range strings.SplitSeq(list, ",") {
		h, port, err := net.SplitHostPort(host)
		if err != nil { // without a port
			h, port = host, s.port
			if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
				h = host[1 : len(host)-1]
			}
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if h == "" || strings.ContainsAny(h, "[] ") || strings.Contains(h, ":") && net.ParseIP(h) == nil || err != nil || n == 0 {
			return nil, fmt.Errorf("shared: URL of Redis: %q is not host:port", host)
		}
		addrs = append(addrs, net.JoinHostPort(h, port))
	}
	if s.kind == single && len(addrs) > 1 {
		return nil, errors.New("shared: URL of Redis: several hosts need the scheme redis+cluster or redis+sentinel")
	}
	return addrs, nil
}

// parsePath parses the primary's name and the number of the database.
func (t *target) parsePath(parts []string) error {
	if t.kind == sentinel {
		if parts[0] == "" {
			return errors.New("shared: URL of Redis: redis+sentinel:// needs the name of the master after the hosts, as in redis+sentinel://h1:26379/mymaster")
		}
		t.master, parts = parts[0], parts[1:]
	}
	if len(parts) == 0 || parts[0] == "" {
		return nil
	}
	db, err := strconv.ParseUint(parts[0], 10, 16)
	if err != nil || len(parts) > 1 {
		return fmt.Errorf("shared: URL of Redis: %q is not a database number", strings.Join(parts, "/"))
	}
	if t.kind == cluster && db != 0 {
		return errors.New("shared: URL of Redis: a cluster has only database 0")
	}
	t.db = int(db)
	return nil
}

func (t *target) parseQuery(raw string) error {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return errors.New("shared: URL of Redis: the query is malformed")
	}
	for name, values := range query {
		value := values[len(values)-1]
		switch {
		case name == "ca" && t.secure:
			if t.roots, err = readRoots(value); err != nil {
				return err
			}
		case name == "sentinel_username" && t.kind == sentinel:
			t.sentinelUser = value
		case name == "sentinel_password" && t.kind == sentinel:
			t.sentinelPassword = value
		default:
			return fmt.Errorf("shared: URL of Redis: unknown option %q for %s", name, t.name)
		}
	}
	return nil
}

func readRoots(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("shared: roots for TLS to Redis: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("shared: roots for TLS to Redis: %s has no certificate in PEM form", file)
	}
	return pool, nil
}

// String returns the URL without credentials.
func (t *target) String() string {
	s := t.name + "://" + strings.Join(t.addrs, ",")
	if t.kind == sentinel {
		s += "/" + t.master
	}
	if t.db != 0 {
		s += "/" + strconv.Itoa(t.db)
	}
	return s
}

// open returns the client for the target. It makes no connection.
func (t *target) open(o *redis.UniversalOptions) redis.UniversalClient {
	o.Addrs, o.Username, o.Password, o.DB = t.addrs, t.user, t.password, t.db
	if t.secure {
		// Go-redis sets ServerName.
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: t.roots}
	}
	switch t.kind {
	case sentinel:
		o.MasterName, o.SentinelUsername, o.SentinelPassword = t.master, t.sentinelUser, t.sentinelPassword
		return redis.NewFailoverClient(o.Failover())
	case cluster:
		return redis.NewClusterClient(o.Cluster())
	default:
		return redis.NewClient(o.Simple())
	}
}
