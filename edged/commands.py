"""What people type: every command with its options and its words of explanation. Each imports what it needs once it is chosen."""

import argparse
import sys

from edged import __version__
from edged.ctl.command import ABOUT as CTL
from edged.ctl.command import add_verbs
from edged.ctl.command import run as run_verb
from edged.errors import StartError

__all__ = ["DEFAULT_CONFIG", "parser"]

DEFAULT_CONFIG = "/etc/edged/edged.toml"

_ABOUT = """\
An edge reverse proxy: HTTP, WebSocket, TLS and TCP by host and path, from route files that may change at any time.

examples:
  edged demo                                  a complete little site to play with
  edged check --defaults > edged.toml         every setting, explained
  edged check --config edged.toml             is all of it right? each problem with its file and line
  edged run --config edged.toml               serve
  edged explain --config edged.toml http://shop.example.com/cart
                                              which route answers this, which lost, and why
  edged certs --config edged.toml             every certificate: for which names, until when, from where
  edged ctl status                            what runs; edged ctl --help tells what else can be asked for
"""

_RUN = """\
Serve in the foreground until a signal says otherwise:
  SIGTERM   not ready from now on; stop accepting, let exchanges end (as long as [run] drain_timeout, tunnels tunnel_drain_timeout),
            leave with status 0; once more: at once, status 1
  SIGINT    at once, status 0
  SIGHUP    reload, as `edged ctl reload` does: settings and code are read anew, new processes take over once they serve, the old
            ones end what they have (as long as at SIGTERM); where anything is wrong all stays as it is, and the log says why
  SIGUSR2   upgrade, as `edged ctl upgrade` does: the program that is installed now takes over this process, and reloads
  SIGUSR1   open log files anew, after rotation
Route files need no signal: they are read again when they change. Status 2: it could not start, and one line says why.

example:
  edged run --config /etc/edged/edged.toml
"""

_CHECK = """\
Read the settings and every route they lead to, and print each problem as "file:line: key: message".
Status 0: nothing is wrong. Nothing is bound or started.

examples:
  edged check --config /etc/edged/edged.toml
  edged check --defaults > edged.toml         a whole settings file, annotated, with every default
"""

_EXPLAIN = """\
Tell which route answers a URL and by which rule it was found, and which others claimed the same and lost, and why. It reads
the same files as the daemon, and needs none running.

example:
  edged explain --config /etc/edged/edged.toml http://shop.example.com/cart
"""

_CERTS = """\
List every certificate that there is, of routes and of the operator: the names and routes it is shown for, its issuer, the kind of its
key, how many days are left, and where it was read; then those that were refused, and why. It reads the same files as the daemon, and
needs none running. Status 1: one was refused, or has expired.

examples:
  edged certs --config /etc/edged/edged.toml
  edged certs --json | jq '.certificates[] | select(.days_left < 14) | .names'
"""


def parser() -> argparse.ArgumentParser:
    """Of command lines; what it reads has the `command` to call with it, which answers the exit status."""
    raw = argparse.RawDescriptionHelpFormatter
    whole = argparse.ArgumentParser(prog="edged", description=_ABOUT, formatter_class=raw)
    whole.add_argument("--version", action="version", version=f"edged {__version__}")
    commands = whole.add_subparsers(title="commands", metavar="COMMAND", required=True)

    run = commands.add_parser("run", help="serve", description=_RUN, formatter_class=raw)
    run.set_defaults(command=_run)
    check = commands.add_parser("check", help="look for problems in settings and routes", description=_CHECK, formatter_class=raw)
    check.add_argument("--defaults", action="store_true", help="print a settings file with every default, annotated, and leave")
    check.set_defaults(command=_check)
    explain = commands.add_parser("explain", help="which route answers a URL, and why", description=_EXPLAIN, formatter_class=raw)
    explain.add_argument("url", metavar="URL", help="http://host/path; a missing scheme means http")
    explain.set_defaults(command=_explain)
    certs = commands.add_parser("certs", help="the certificates, and until when", description=_CERTS, formatter_class=raw)
    certs.add_argument("--json", action="store_true", help="for programs, with every detail")
    certs.set_defaults(command=_certs)
    ctl = commands.add_parser("ctl", help="speak to the daemon that runs", description=CTL, formatter_class=raw)
    add_verbs(ctl)
    ctl.set_defaults(command=run_verb)
    for command in (run, check, explain, certs, ctl):
        command.add_argument("--config", metavar="FILE", default=DEFAULT_CONFIG, help=f"the settings (default: {DEFAULT_CONFIG})")

    commands.add_parser("demo", help="serve a built-in site to play with; edged demo --help", add_help=False)
    return whole


def _run(options: argparse.Namespace) -> int:
    from edged.settings.load import load
    from edged.supervisor.legacy import inherited
    from edged.supervisor.process import supervise, take_over

    left = inherited()
    return take_over(left) if isinstance(left, int) else supervise(load(options.config), left)


def _check(options: argparse.Namespace) -> int:
    from edged.settings import InvalidSettings
    from edged.settings.annotate import annotated
    from edged.settings.load import read

    if options.defaults:
        print(annotated(), end="")
        return 0
    try:
        settings, problems = read(options.config)
    except InvalidSettings as why:
        settings, problems = None, list(why.problems)
    except StartError as why:
        print(why)
        return 1
    if settings is not None:
        from edged.control import check

        _log_nothing()                           # the problems are printed
        for note in settings.notes:
            print(f"note: {note}", file=sys.stderr)
        problems += check.problems(settings)
    for problem in problems:
        print(problem)
    if not problems:
        print(f"{options.config}: nothing is wrong")
    return 1 if problems else 0


def _explain(options: argparse.Namespace) -> int:
    from edged.explain import explain
    from edged.settings.load import load

    _log_nothing()
    return explain(load(options.config), options.url)


def _certs(options: argparse.Namespace) -> int:
    from edged.certs import certs
    from edged.settings.load import load

    _log_nothing()
    return certs(load(options.config), as_json=options.json)


def _log_nothing() -> None:
    import logging

    logging.getLogger("edged").addHandler(logging.NullHandler())
