"""Every verb of `edged ctl`, once: what it is called, what it takes, and what is told about it."""

from typing import NamedTuple

__all__ = ["DELAY_MOST_MS", "LEVELS", "VERBS", "Argument", "Verb", "complaint"]

LEVELS = ("debug", "info", "warning", "error")
DELAY_MOST_MS = 24 * 3600 * 1000
TEXT_MOST = 64                                   # characters
KINDS = ("GROUP", "INSTANCE")                    # of keepalived
STATES = ("MASTER", "BACKUP", "FAULT", "STOP", "DELETED")


class Argument(NamedTuple):
    """A named value of a request: a flag, a number, such as of milliseconds, a text, or one of some words."""

    name: str
    kind: type
    help: str
    choices: tuple[str, ...] = ()
    required: bool = False
    most: int = DELAY_MOST_MS                    # of a number
    in_order: bool = False                       # typed by its place, without its name
    judged_late: bool = False                    # a wrong word is refused by the daemon, not by the command line

    def takes(self, value: object) -> bool:
        if type(value) is not self.kind:
            return False
        if isinstance(value, str):
            return value in self.choices if self.choices else 0 < len(value) <= TEXT_MOST and value.isprintable()
        return not isinstance(value, int) or 0 <= value <= self.most


class Verb(NamedTuple):
    """`words` as they are typed; the request bears `name`."""

    words: str
    help: str
    about: str
    arguments: tuple[Argument, ...] = ()

    @property
    def name(self) -> str:
        return self.words.replace(" ", "_")


_ALL = (
    Verb(
        "status", "what runs, since when, and how the last reload went",
        "Tell the version, the state, every generation with its processes, the listeners, and the last reload and its outcome.\n\n"
        "examples:\n  edged ctl status\n  edged ctl status --json | jq -r '.generations[].pids[]'",
    ),
    Verb(
        "reload", "put new settings and new code in place, without losing a connection",
        "Read the settings anew and start a new generation of processes with them, over the same sockets. As soon as it serves, the old\n"
        "one accepts no more, ends what it has, and leaves; [run] drain_timeout, or tunnel_drain_timeout, cuts what takes longer.\n"
        "Returns a second after the new generation serves, or as soon as the old one has left, and tells how many exchanges were\n"
        "finished, handed over, cut, and are left. Where anything is wrong nothing changes: each problem is printed, as\n"
        "\"file:line: key: message\" if it is one of the settings, with status 1. A reload that is asked for during another comes after\n"
        "it; a daemon that is drained stays so.\n\n"
        "examples:\n  edged ctl reload\n  edged ctl reload --wait --json | jq .cut",
        (Argument("wait", bool, "return only when the old generation has left"),),
    ),
    Verb(
        "upgrade", "change over to the program that is installed now, without losing a connection",
        "Try the program that is installed now, and have it take over the running daemon: the process stays the same, listening sockets\n"
        "stay open, and a reload brings control and workers of the new program. Where it does not come up, or does not understand what\n"
        "the running one would leave to it, the running one carries on and says why, with status 1. Returns as a reload does.\n\n"
        "example:\n  pip install --upgrade edged && edged ctl upgrade",
        (Argument("wait", bool, "return only when the old generation has left"),),
    ),
    Verb(
        "stop", "end the daemon, exchanges first",
        "End the daemon as SIGTERM does: after the pause of [run] drain_delay it accepts no more, exchanges have as long as [run]\n"
        "drain_timeout to end, tunnels as long as tunnel_drain_timeout, and the command returns when the process is gone.\n\n"
        "examples:\n  edged ctl stop\n  edged ctl stop --now",
        (Argument("now", bool, "cut what runs, as SIGINT does"),),
    ),
    Verb(
        "drain", "accept no more, and let exchanges end; the daemon stays",
        "Take this daemon out of service, and keep it there. At once it is not ready any more, for `edged ctl check` and every probe. For\n"
        "the pause of [run] drain_delay it serves on, so that balancers in front notice; then it accepts no more, exchanges have as long\n"
        "as [run] drain_timeout to end, tunnels as long as tunnel_drain_timeout, and what is still open is cut. New connections are\n"
        "refused from then on. Returns when nothing is open any more.\n\n"
        "examples:\n  edged ctl drain\n  edged ctl drain --delay 15s && reboot\n  edged ctl drain --persist",
        (
            Argument("delay_ms", int, "how long to serve on first, such as 15s (default: [run] drain_delay)"),
            Argument("persist", bool, "it stays out of service over restarts too, until edged ctl undrain"),
        ),
    ),
    Verb(
        "undrain", "accept again",
        "Put a daemon that was drained, or is being drained, into service again. Returns when it serves.\n\nexample:\n  edged ctl undrain",
    ),
    Verb(
        "log level", "which lines are logged",
        "Choose which lines all processes of the daemon log, until it ends or this is said again. The access log is another matter.\n\n"
        "examples:\n  edged ctl log level debug\n  edged ctl log level info",
        (Argument("level", str, "from this upwards", LEVELS, required=True, in_order=True),),
    ),
    Verb(
        "notify", "what keepalived says of a virtual address",
        "Remember the state of a VRRP instance or group; `edged ctl status` shows it. For keepalived, which adds the words itself:\n\n"
        "  notify \"/usr/bin/edged ctl notify\"",
        (
            Argument("kind", str, "GROUP or INSTANCE", KINDS, required=True, in_order=True, judged_late=True),
            Argument("name", str, "its name", required=True, in_order=True),
            Argument("state", str, ", ".join(STATES), STATES, required=True, in_order=True, judged_late=True),
            Argument("priority", int, "its priority, 0 to 255", most=255, in_order=True),
        ),
    ),
)

VERBS = {verb.name: verb for verb in _ALL}


def complaint(verb: Verb, arguments: object) -> str:
    """What is wrong with the arguments that came with a request; "" if nothing is."""
    if not isinstance(arguments, dict):
        return "arguments are a map"
    known = {argument.name: argument for argument in verb.arguments}
    for name, value in arguments.items():
        if name not in known:
            return f'{verb.words} has no argument "{name}"'
        if not known[name].takes(value):
            wanted = f"one of {', '.join(known[name].choices)}" if known[name].choices else known[name].help
            return f"{verb.words}: {name}: {wanted}"
    missing = [argument.name for argument in verb.arguments if argument.required and argument.name not in arguments]
    return f"{verb.words}: {missing[0]} is missing" if missing else ""
