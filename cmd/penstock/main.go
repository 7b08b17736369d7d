// Command penstock is a caching reverse proxy and API gateway.
//
// This package is the outermost layer: arguments, files, signals, listeners, and the order in which things start and stop.
// What happens to a request is decided in proxy and below; what may be configured is in config. Nothing here knows either.
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
		{"check", "FILE", "check a configuration and print every mistake in it", runCheck},
		{"schema", "", "print the configuration's JSON Schema", runSchema},
		{"demo", "[--once | --origins]", "sample origins and a gateway on loopback: measure what the gateway does, then stay up", runDemo},
		{"advise", "[--json]", "say what a running gateway's traffic shows could be configured better, with the YAML to paste", runAdvise},
		{"explain", "[METHOD] URL [-H 'Name: value'] …", "say what becomes of a request and why; --live asks a running gateway", runExplain},
		{"purge", "--tag TAG | --url URL | …", "remove what a running gateway has stored, on all instances; --help lists what can be named", runPurge},
		{"writes", "[list | show ID | replay ID… | drop ID…]", "the queue of writes of a running gateway, and those that could not be applied", runWrites},
		{"stats", "[--once] [--json] [--cost]", "what a running gateway does, live: rates, hit ratio, latency, routes, upstreams, tiers; or what it costs", runStats},
		{"version", "", "print the version", runVersion},
		{"healthcheck", "[--config gateway.yaml]", "ask the gateway of a configuration whether it is ready", runHealthcheck},
		{"help", "", "print this", runHelp},
	}
}

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.LookupEnv, os.Stdout, os.Stderr))
}

// run is the whole program: it finds the command, runs it and turns its error into words and an exit code.
func run(ctx context.Context, args []string, env lookup, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		printHelp(stderr)
		return exitUsage
	}
	for _, cmd := range commands() {
		if cmd.name == args[0] || (cmd.name == "help" && (args[0] == "-h" || args[0] == "--help")) {
			return report(stderr, cmd.run(ctx, &call{args[1:], env, stdout, stderr}))
		}
	}
	return report(stderr, usageError(fmt.Sprintf("there is no command %q; penstock help lists them", args[0])))
}

// usageError is a mistake in how the program was called; its text says how to call it.
type usageError string

func (e usageError) Error() string { return string(e) }

// report prints an error, each mistake of a configuration on a line of its own, and chooses the exit code.
func report(stderr io.Writer, err error) int {
	var mistakes config.Errors
	var usage usageError
	switch {
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

// flags makes the flag set of a command. What it has to say is returned, not printed, so that an error stays one line.
func (c *call) flags(name string) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	return fs
}

// parse reads the command's arguments: its flags, then exactly the operands named. --help prints the flags and is an
// error of its own, flag.ErrHelp.
func (c *call) parse(fs *flag.FlagSet, operands ...string) error {
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
	case fs.NArg() > len(operands):
		return usageError(fmt.Sprintf("penstock %s does not take %q", fs.Name(), fs.Arg(len(operands))))
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

// versionText is what the linker was told, else what the Go toolchain recorded.
func versionText() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
