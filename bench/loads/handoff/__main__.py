"""What edged loses by reloads and upgrades under load, beside HAProxy: `python -m bench.loads.handoff`.

New connections, kept ones, slow uploads and downloads, over HTTP and HTTPS, and tunnels: WebSockets, TCP, and TLS that is passed through.
Status 1 when the first daemon lost anything, or has grown from the tenth reload to the last.
"""

import argparse
import contextlib
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from .. import machine
from ..certificates import Authority, Certificates
from ..machine import Cores
from ..run import favoured, run_as_program
from ..setups import ProxyError
from ..site import HOST, INNER
from . import table
from .daemons import DAEMONS
from .load import Backends, Load, Rates
from .play import Result, play
from .setups import CHECKED


def arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.loads.handoff", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--daemons", default="edged,haproxy", help="who goes through it, one after the other; the first is judged")
    parser.add_argument("--seconds", type=float, default=120.0, help="how long for each (default: 120)")
    parser.add_argument("--reloads", type=int, default=100)
    parser.add_argument("--upgrades", type=int, default=10)
    parser.add_argument("--workers", type=int, default=1, help="processes of edged, threads of HAProxy (default: 1, as they have one core)")
    parser.add_argument("--new", type=float, default=2500.0, help="new connections a second, HTTP (default: 2500)")
    parser.add_argument("--new-tls", type=float, default=200.0, help="the same, HTTPS, with resumed sessions (default: 200)")
    parser.add_argument("--kept", type=float, default=500.0, help="requests a second on kept connections, HTTP (default: 500)")
    parser.add_argument("--kept-tls", type=float, default=250.0, help="the same, HTTPS (default: 250)")
    parser.add_argument("--connections", type=int, default=64, help="kept ones, of each sort (default: 64)")
    parser.add_argument("--slow", type=int, default=6, help="uploads and downloads at once, of each sort (default: 6)")
    parser.add_argument("--tunnels", type=int, default=12, help="open at once, of each sort (default: 12)")
    parser.add_argument("--hard-stop-after", default="", metavar="TIME", help="of HAProxy (default: none, as routers leave it)")
    parser.add_argument("--json", type=Path, help="also write everything into this file")
    return parser.parse_args(words)


@contextlib.contextmanager
def prepared(cores: Cores) -> Iterator[tuple[Path, Certificates, Backends]]:
    with machine.alone(), tempfile.TemporaryDirectory(prefix="edged-handoff-") as name:
        folder = Path(name)
        certificates = Certificates.make(folder / "certificates", Authority(), [HOST, CHECKED], ["rsa.test"], [INNER])
        machine.allow_descriptors()
        backends = Backends(cores)
        try:
            yield folder, certificates, backends
        finally:
            backends.end()


def go_through(options: argparse.Namespace) -> list[Result]:
    """Each daemon, one after the other."""
    cores, results = Cores.choose(), []
    rates = Rates(options.new, options.new_tls, options.kept, options.kept_tls, options.connections, options.slow, options.tunnels)
    print(f"{cores}; {options.reloads} reloads and {options.upgrades} upgrades in {options.seconds:g} s", flush=True)
    with prepared(cores) as (folder, certificates, backends):
        for name in options.daemons.split(","):
            with favoured() as group, contextlib.ExitStack() as ends:
                load = Load(cores, group, backends, certificates)
                ends.callback(load.end)
                daemon = DAEMONS[name](folder / name, load.behind, certificates, options.workers, options.hard_stop_after, cores, group)
                ends.callback(daemon.stop)
                print(f"{daemon.version}: {daemon.setup.told}", flush=True)
                results.append(play(daemon, load, rates, options.seconds, options.reloads, options.upgrades))
    return results


def main(words: list[str]) -> int:
    options = arguments(words)
    try:
        results = go_through(options)
    except (ProxyError, OSError) as why:
        print(f"cannot compare: {why}", file=sys.stderr)
        return 2
    print("\n".join(table.lines(results)))
    if options.json:
        options.json.write_text(json.dumps([asdict(result) for result in results], indent=1))
    return 0 if results[0].is_well else 1


if __name__ == "__main__":
    run_as_program(main)
