"""`edged ctl`: the command line, and how answers are shown to people and to programs."""

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any

from edged.ctl import check
from edged.ctl.client import CtlError, Exit, Reply, ask
from edged.ctl.place import runtime_dir
from edged.ctl.verbs import DELAY_MOST_MS, VERBS, Argument, Verb
from edged.errors import StartError

__all__ = ["ABOUT", "add_verbs", "run"]

ABOUT = """\
Speak to the daemon that runs. Which one: that of the settings file, by its [run] runtime_dir. Root and the daemon's user may.

Status 0: done. 1: the daemon could not, or refused, and says why. 2: the command or the settings file cannot be understood.
3: no daemon runs. 4: it takes no orders from this user. 5: it ended before it answered. 6: it is of another version.

examples:
  edged ctl status                            what runs, since when
  edged ctl reload                            and is what I wrote in force now?
  edged ctl drain --delay 15s                 out of service, as balancers in front notice
  edged ctl check                             is it ready for clients? by its status
  edged ctl status --json | jq .state
  edged ctl COMMAND --help                    more about each
"""


def add_verbs(parser: argparse.ArgumentParser) -> None:
    """Every verb becomes a command below `parser`; a verb of two words, two levels."""
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    groups: dict[str, Any] = {}
    for verb in VERBS.values():
        *group, word = verb.words.split()
        home = commands
        if group:
            if group[0] not in groups:
                described = f"{verb.words}: {verb.help}"
                inner = commands.add_parser(group[0], help=described, description=described)
                groups[group[0]] = inner.add_subparsers(title="commands", metavar="COMMAND", required=True)
            home = groups[group[0]]
        command = home.add_parser(
            word, help=verb.help, description=verb.about, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        for argument in verb.arguments:
            _add(command, argument)
        command.add_argument("--json", action="store_true", help="for programs: one object on stdout")
        command.add_argument("--runtime-dir", metavar="DIR", default="", help="where the daemon's socket is, in place of --config")
        command.set_defaults(verb=verb)
    probe = commands.add_parser("check", help=check.HELP, description=check.ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter)
    check.add_arguments(probe)


def _add(command: argparse.ArgumentParser, argument: Argument) -> None:
    if argument.kind is bool:
        command.add_argument(f"--{argument.name}", action="store_true", default=None, help=argument.help)
    elif argument.in_order:
        choices = None if argument.judged_late or not argument.choices else argument.choices
        many = None if argument.required else "?"
        command.add_argument(argument.name, type=argument.kind, choices=choices, nargs=many, help=argument.help)
    else:
        word = argument.name.removesuffix("_ms")
        command.add_argument(f"--{word}", dest=argument.name, metavar="TIME", type=_time_ms, help=argument.help)


def _time_ms(text: str) -> int:
    from edged.settings.keys import Time

    try:
        return Time(0, DELAY_MOST_MS).read(text)
    except ValueError as why:
        raise argparse.ArgumentTypeError(str(why)) from None


def run(options: argparse.Namespace) -> int:
    """Ask, show, and answer the exit status."""
    verb: Verb = options.verb
    given = {argument.name: getattr(options, argument.name) for argument in verb.arguments}
    arguments = {name: value for name, value in given.items() if value is not None}
    try:
        where = options.runtime_dir or _place(options.config, verb)
        reply = ask(where, verb.name, arguments, _progress, until_gone=verb.name == "stop")
    except CtlError as why:
        if options.json:
            print(json.dumps({"ok": False, "status": int(why.status), "message": str(why)}))
        else:
            for line in str(why).splitlines():
                print(f"edged: {line}", file=sys.stderr)
        return int(why.status)
    if options.json:
        print(json.dumps({"ok": reply.ok, **reply.result}, indent=2))
    else:
        _SHOWN.get(verb.name, _show_message)(reply)
    return Exit.DONE if reply.ok else Exit.FAILED


def _place(config: str, verb: Verb) -> str:
    """What the daemon could not read either, fails a reload."""
    try:
        return runtime_dir(config)
    except StartError as why:
        from edged.settings import InvalidSettings

        if verb.name == "reload" and isinstance(why, InvalidSettings):
            raise CtlError(Exit.FAILED, str(why)) from None
        raise


def _progress(text: str) -> None:
    print(f"edged: {text}", file=sys.stderr, flush=True)


def _show_message(reply: Reply) -> None:
    if text := reply.result.get("message"):
        print(text, file=sys.stdout if reply.ok else sys.stderr)


def _show_reload(reply: Reply) -> None:
    for problem in reply.result.get("problems", ()):
        print(problem, file=sys.stderr)
    _show_message(reply)


def _show_status(reply: Reply) -> None:
    status = reply.result
    print(f"edged {status['version']}: {status['state']}, up {_span(status['uptime_s'])}, process {status['pid']}")
    for generation in status["generations"]:
        pids = ", ".join(f"{name} {pid}" for name, pid in generation["pids"].items())
        print(f"generation {generation['number']}: {generation['state']} for {_span(generation['since_s'])}: {pids or 'no process'}")
    for listener in status["listeners"]:
        print(f'listener "{listener["name"]}": {listener["address"]} ({listener["mode"]})')
    for why in status["not_ready"]:
        print(f"not ready: {why}")
    for one in status["vrrp"]:
        priority = "" if one["priority"] is None else f", priority {one['priority']}"
        print(f"VRRP {one['kind'].lower()} {one['name']}: {one['state']} for {_span(one['since_s'])}{priority}")
    last = status["last_reload"]
    if last is None:
        print("last reload: none")
        return
    print(f"last reload: {_span(last['ago_s'])} ago: {'done' if last['ok'] else 'failed, nothing changed'}")
    for problem in last["problems"]:
        print(f"  {problem}")


def _span(seconds: float) -> str:
    whole = int(seconds)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if whole >= size:
            return f"{whole // size} {unit}" if whole % size == 0 else f"{whole / size:.1f} {unit}"
    return f"{seconds:.1f} s" if whole < 10 else f"{whole} s"


_SHOWN: dict[str, Callable[[Reply], None]] = {"status": _show_status, "reload": _show_reload, "upgrade": _show_reload}
