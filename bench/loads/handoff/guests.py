"""The load whose every byte is checked, both ends of it, as a program: `python -m bench.loads.handoff.guests CERTIFICATE`.

It prints the ports of its servers, takes a plan, prints "go" once every client was served, takes a word that it is over, finishes what
runs and prints what was done, each as one line of JSON. It ends with its standard input.
"""

import json
import sys
from pathlib import Path
from typing import Any

import trio

from .hosts import Hosts
from .tally import Tallies
from .visits import Doors, Plan, Visitors

BEGIN_S = 20.0                                   # those who are not served by then are the load's failures


def say(words: Any) -> None:
    print(json.dumps(words), flush=True)


async def hear() -> str:
    """The next line; "" when there is none."""
    return await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True)


async def main(certificate: Path) -> None:
    tallies = Tallies()
    async with trio.open_nursery() as servers:
        say(await Hosts(tallies).start(certificate, servers))
        if line := await hear():
            given = json.loads(line)
            visitors = Visitors(Plan(**{**given, "doors": Doors(**given["doors"])}), tallies)
            async with trio.open_nursery() as clients:
                clients.start_soon(visitors.run)
                with trio.move_on_after(BEGIN_S):
                    await visitors.begun.wait()
                say("go")
                await hear()
                visitors.end()
            say(tallies.to_json())
        servers.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]))
