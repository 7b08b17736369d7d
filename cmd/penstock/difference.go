package main

import (
	"maps"
	"reflect"
	"slices"

	"github.com/penstock/penstock/config"
)

// difference names the parts in which two configurations differ, for the log line of a reload: a
// section by its name, an upstream or route as "route x" if it changed, "+route x" if it is new and
// "-route x" if it is gone.
func difference(old, new *config.Config) []string {
	var out []string
	for _, part := range []struct {
		name     string
		old, new any
	}{
		{"server", old.Server, new.Server},
		{"admin", old.Admin, new.Admin},
		{"telemetry", old.Telemetry, new.Telemetry},
		{"cache", old.Cache, new.Cache},
		{"writes", old.Writes, new.Writes},
		{"cost", old.Cost, new.Cost},
	} {
		if !reflect.DeepEqual(part.old, part.new) {
			out = append(out, part.name)
		}
	}
	out = append(out, named("upstream", old.Upstreams, new.Upstreams)...)
	out = append(out, named("route", routesByName(old), routesByName(new))...)
	if len(out) == 0 {
		return []string{"nothing"}
	}
	return out
}

func routesByName(cfg *config.Config) map[string]*config.Route {
	out := make(map[string]*config.Route, len(cfg.Routes))
	for _, r := range cfg.Routes {
		out[r.Name] = r
	}
	return out
}

// named compares two sets of named values. It lists removed names with "-", added ones with "+" and
// changed ones bare.
func named[T any](kind string, old, new map[string]*T) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(old)) {
		if now, ok := new[name]; !ok {
			out = append(out, "-"+kind+" "+name)
		} else if !reflect.DeepEqual(old[name], now) {
			out = append(out, kind+" "+name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(new)) {
		if _, ok := old[name]; !ok {
			out = append(out, "+"+kind+" "+name)
		}
	}
	return out
}
