"""`edged ctl check`: is this daemon ready for clients? For keepalived and its like, so that it starts fast and answers 0 or 1, never more.

It imports little, and asks by HTTP what any other program could ask (high-availability.md B.3).
"""

import argparse
import json
import os
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from edged.ctl.frames import RUNTIME_DIR, connect
from edged.errors import EdgedError

__all__ = ["ABOUT", "HELP", "add_arguments", "main", "run"]

SOCKET_NAME = "health.sock"
DEFAULT_CONFIG = "/etc/edged/edged.toml"
ANSWER_MOST_BYTES = 64 * 1024
TIMEOUT_MOST_S = 60.0

HELP = "is it ready for clients? for keepalived"
ABOUT = """\
Ask the daemon whether clients should be sent to it: status 0 if so, 1 if not, or if anything goes wrong, and one line that says why.
It asks the unix socket health.sock in the runtime directory, where root, the daemon's user and the group of [admin] socket_group may.

Without this program, by a shell:
  curl -sf -m 1 --unix-socket /run/edged/health.sock http://edged/readyz
  printf 'GET /readyz HTTP/1.0\\r\\n\\r\\n' | nc -U -w 1 /run/edged/health.sock | grep -q '^HTTP/1.1 200'

examples:
  edged ctl check
  edged ctl check --deep --timeout 2s         do the listeners answer, too?
  edged ctl check --url http://10.0.0.7:1936  another node, by its [admin] address

of keepalived.conf:
  vrrp_script edged { script "/usr/bin/edged ctl check" interval 1 timeout 2 fall 2 rise 2 }
"""


class _Unready(Exception):
    """The line that says why."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        print(f"not ready: {message}; edged ctl check --help")
        sys.exit(1)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--socket", metavar="PATH", default="", help="that of the daemon, in place of the one in its runtime directory")
    where.add_argument("--url", default="", help="http://host:port of an [admin] address, on whatever node")
    where.add_argument("--runtime-dir", metavar="DIR", default="", help="where the socket is, in place of --config")
    parser.add_argument("--config", metavar="FILE", default="", help=f"the settings, for that (default: {DEFAULT_CONFIG})")
    parser.add_argument("--timeout", metavar="TIME", type=_time_s, default=1.0, help="for the answer, such as 500ms (default: 1s)")
    parser.add_argument("--deep", action="store_true", help="send a request through the listeners, too")
    parser.add_argument("--json", action="store_true", help="for programs: one object on stdout")
    parser.add_argument("-v", "--verbose", action="store_true", help="every condition, on stderr")


def _time_s(text: str) -> float:
    number, unit = (text[:-2], 0.001) if text.endswith("ms") else (text.removesuffix("s"), 1.0)
    try:
        seconds = float(number) * unit
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= TIMEOUT_MOST_S:
        raise argparse.ArgumentTypeError(f'"{text}" is no time such as 500ms or 2s, up to {TIMEOUT_MOST_S:g}s')
    return seconds


def main(words: Sequence[str]) -> int:
    """As the command line has it, after `edged ctl check`."""
    parser = _Parser(prog="edged ctl check", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    return run(parser.parse_args(words))


def run(options: argparse.Namespace) -> int:
    """Ask, print the line, and answer the status."""
    try:
        status, lines = _ask(options)
        failed = [line.removeprefix("[-]") for line in lines if line.startswith("[-]")]
        if options.verbose:
            print("\n".join(lines), file=sys.stderr)
        why = "" if status == 200 else "; ".join(failed) or f"it answers with status {status}"
    except (_Unready, OSError) as error:
        why = str(error) if isinstance(error, _Unready) or not error.strerror else error.strerror
        failed = []
    if options.json:
        print(json.dumps({"ready": not why, "why": failed or [why] * bool(why)}))
    else:
        print(f"not ready: {why}" if why else "ready")
    return 1 if why else 0


def _ask(options: argparse.Namespace) -> tuple[int, list[str]]:
    """The status of the answer, and the lines of its body."""
    until_s = time.monotonic() + options.timeout
    sock, host = _connect(options)
    with sock:
        answer = b""
        try:
            sock.settimeout(options.timeout)
            path = f"/readyz?verbose{'&deep' if options.deep else ''}"
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            while len(answer) < ANSWER_MOST_BYTES:
                sock.settimeout(max(until_s - time.monotonic(), 0.001))
                data = sock.recv(ANSWER_MOST_BYTES)
                if not data:
                    break
                answer += data
        except TimeoutError:
            raise _Unready(f"no answer within {options.timeout:g} s") from None
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head.split(b" ", 2)[1:2]
    if not head.startswith(b"HTTP/1.") or not status or not status[0].isdigit():
        raise _Unready("it ended before it answered" if not answer else "who answers there is no edged")
    return int(status[0]), body.decode(errors="replace").splitlines()


def _connect(options: argparse.Namespace) -> tuple[socket.socket, str]:
    """A connection, and the name of the host."""
    if options.url:
        host, port = _host_of(options.url)
        try:
            return socket.create_connection((host, port), options.timeout), f"[{host}]" if ":" in host else host
        except OSError as why:
            raise _Unready(f"{options.url}: {why.strerror or 'no connection within the time'}") from None
    path = Path(options.socket or Path(options.runtime_dir or _runtime_dir(options.config), SOCKET_NAME))
    try:
        return connect(path, options.timeout), "edged"
    except OSError as why:
        raise _Unready(f"no daemon answers at {path}: {why.strerror or 'no connection within the time'}") from None


def _host_of(url: str) -> tuple[str, int]:
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        if parts.scheme == "http" and parts.hostname and parts.path in ("", "/") and not parts.query:
            return parts.hostname, parts.port or 80
    except ValueError:
        pass
    raise _Unready(f"{url}: write http://host:port")


def _runtime_dir(config: str) -> str:
    """Of a settings file; without any, where it is by default."""
    if not config and not os.path.exists(DEFAULT_CONFIG):
        return RUNTIME_DIR
    from edged.ctl.place import runtime_dir

    try:
        return runtime_dir(config or DEFAULT_CONFIG)
    except EdgedError as why:
        raise _Unready(str(why).partition("\n")[0]) from None
