// Command penstock is a caching reverse proxy and API gateway.
//
// This package is the outermost layer: arguments, files, signals, listeners, and the order of
// startup and shutdown. Package proxy and its subpackages decide how requests are handled, and
// package config decides which settings exist.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"github.com/penstock/penstock/config"
)

// version is set by the linker.
var version string

// The exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2 // usage or configuration
)

// lookup reads an environment variable.
type lookup = func(name string) (string, bool)

// call is one invocation of a command.
type call struct {
	args           []string
	env            lookup
	stdin          io.Reader
	stdout, stderr io.Writer
}

// command is a row of the table of subcommands.
type command struct {
	name, usage, about string
	run                func(context.Context, *call) error
}

func commands() []command {
	return []command{
		{"run", "[--config gateway.yaml]", "run the gateway", runGateway},
		{"check", "FILE…", "check configurations and print every mistake; - reads standard input", runCheck},
		{"schema", "", "print the configuration's JSON Schema", runSchema},
		{"demo", "[--once | --origins]", "run sample origins and a gateway on loopback, print measurements, then keep running", runDemo},
		{"advise", "[--json]", "advise on the configuration from a running gateway's traffic, with the YAML to paste", runAdvise},
		{"explain", "[METHOD] URL [-H 'Name: value'] …", "explain how a request is handled and why; --live asks a running gateway", runExplain},
		{"purge", "--tag TAG | --url URL | …", "remove stored responses from all instances of a running gateway; --help lists the selectors", runPurge},
		{"writes", "[list | show ID | replay ID… | drop ID…] | --file FILE [check | list | salvage OUT]", "manage the queued writes and dead letters of a running gateway, or of a file without a gateway", runWrites},
		{"stats", "[--once] [--json] [--cost]", "live figures of a running gateway: rates, hit ratio, latency, routes, upstreams, tiers; or its costs", runStats},
		{"version", "", "print the version", runVersion},
		{"healthcheck", "[--config gateway.yaml] [--upstream NAME]", "check whether the gateway of a configuration is ready", runHealthcheck},
		{"help", "", "print this", runHelp},
	}
}

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.LookupEnv, os.Stdout, os.Stderr))
}

// run is the whole program: it finds the command, runs it, prints its error and returns the exit
// code.
func run(ctx context.Context, args []string, env lookup, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		printHelp(stderr)
		return exitUsage
	}
	for _, cmd := range commands() {
		if cmd.name == args[0] || (cmd.name == "help" && (args[0] == "-h" || args[0] == "--help")) {
			return report(stderr, cmd.run(ctx, &call{args[1:], env, os.Stdin, stdout, stderr}))
		}
	}
	return report(stderr, usageError(fmt.Sprintf("there is no command %q; %s", args[0], commandHint(args[0]))))
}

// otherCommands maps the command names of other programs to our commands.
var otherCommands = map[string]string{
	"start": "run", "serve": "run", "server": "run", "up": "run", "-c": "run --config FILE", "--config": "run --config FILE",
	"validate": "check", "test": "check", "lint": "check", "-t": "check", "configtest": "check", "ban": "purge", "invalidate": "purge", "flush": "purge",
	"--version": "version", "-v": "version", "-V": "version", "status": "stats", "top": "stats", "health": "healthcheck", "queue": "writes",
}

// commandHint suggests the command that the user probably meant, if one is close.
func commandHint(word string) string {
	var names []string
	for _, cmd := range commands() {
		names = append(names, cmd.name)
	}
	near := otherCommands[word]
	if near == "" {
		near = config.Nearest(word, names)
	}
	if near == "" {
		return "penstock help lists them"
	}
	return "did you mean penstock " + near + "? penstock help lists all"
}

// usageError is a mistake in the command line. Its text says how to correct it.
type usageError string

func (e usageError) Error() string { return string(e) }

// reported is the exit code of a failure that has already been printed.
type reported int

func (reported) Error() string { return "reported above" }

// report prints an error, with one line for each mistake of a configuration, and returns the exit
// code.
func report(stderr io.Writer, err error) int {
	var mistakes config.Errors
	var usage usageError
	var before reported
	switch {
	case errors.As(err, &before):
		return int(before)
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitDone
	case errors.As(err, &mistakes):
		fmt.Fprintln(stderr, mistakes)
		return exitUsage
	case errors.As(err, &usage):
		fmt.Fprintln(stderr, "penstock:", err)
		return exitUsage
	default:
		fmt.Fprintln(stderr, "penstock:", err)
		return exitFailed
	}
}

// flags returns the flag set of a command. It prints nothing by itself: errors are returned, so
// that each stays on one line.
func (c *call) flags(name string) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	return fs
}

// parse reads the command's arguments: its flags, then exactly the named operands. For --help it
// prints the flags and returns flag.ErrHelp.
func (c *call) parse(fs *flag.FlagSet, operands ...string) error {
	if err := c.parseFlags(fs, operands...); err != nil {
		return err
	}
	if fs.NArg() > len(operands) {
		return usageError(fmt.Sprintf("penstock %s does not take %q", fs.Name(), fs.Arg(len(operands))))
	}
	return nil
}

// parseSome reads the flags and one operand that may be repeated.
func (c *call) parseSome(fs *flag.FlagSet, operand string) error { return c.parseFlags(fs, operand) }

// parseFlags reads the flags and requires at least the named operands.
func (c *call) parseFlags(fs *flag.FlagSet, operands ...string) error {
	err := fs.Parse(c.args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(c.stdout, "usage: penstock %s\n", strings.Join(append([]string{fs.Name(), "[flags]"}, operands...), " "))
		fs.SetOutput(c.stdout)
		fs.PrintDefaults()
		return err
	case err != nil:
		return usageError(fmt.Sprintf("%v; penstock %s --help lists the flags", err, fs.Name()))
	case fs.NArg() < len(operands):
		return usageError(fmt.Sprintf("penstock %s needs %s", fs.Name(), operands[fs.NArg()]))
	}
	return nil
}

func runHelp(_ context.Context, c *call) error {
	printHelp(c.stdout)
	return nil
}

func printHelp(w io.Writer) {
	fmt.Fprintln(w, "penstock is a caching reverse proxy and API gateway.")
	fmt.Fprintln(w)
	for _, cmd := range commands() {
		fmt.Fprintf(w, "  %-45s %s\n", "penstock "+cmd.name+" "+cmd.usage, cmd.about)
	}
}

func runVersion(_ context.Context, c *call) error {
	if err := c.parse(c.flags("version")); err != nil {
		return err
	}
	_, err := fmt.Fprintln(c.stdout, "penstock", versionText())
	return err
}

// versionText returns the version that the linker set, or else the one that the Go toolchain
// recorded.
func versionText() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
