"""Starts the demo, watches over it, and takes all of it away again."""

import argparse
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import trio

from edged.demo.authority import Authority
from edged.demo.backends import BACKENDS, refusing_socket, serve
from edged.demo.guide import INSIDE, SHOWN, Place, guide, routes, settings
from edged.demo.ports import holder
from edged.errors import StartError

__all__ = ["main"]

START_S = 20


def main(arguments: Sequence[str]) -> int:
    """Run the demo until Ctrl-C; the exit status. Raises StartError when it cannot start."""
    parser = argparse.ArgumentParser(prog="edged demo", description="A complete little site to play with, its backends included.")
    parser.add_argument("--http-port", type=int, default=8080, metavar="N", help="of the site (default: 8080)")
    parser.add_argument("--https-port", type=int, default=8443, metavar="N", help="of the site over TLS (default: 8443)")
    parser.add_argument("--tcp-port", type=int, default=8081, metavar="N", help="of the TCP echo (default: 8081)")
    options = parser.parse_args(arguments)
    look_free(options.http_port, "HTTP", "--http-port")
    look_free(options.https_port, "HTTPS", "--https-port")
    look_free(options.tcp_port, "TCP", "--tcp-port")
    with tempfile.TemporaryDirectory(prefix="edged-demo-") as folder:
        return trio.run(demo, Place(Path(folder), options.http_port, options.https_port, options.tcp_port))


def look_free(port: int, what: str, option: str) -> None:
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            probe.listen()
    except PermissionError as why:
        raise StartError(f"the {what} port {port} needs more rights; choose another with {option}") from why
    except (OSError, OverflowError) as why:
        by = holder(port)
        raise StartError(f"the {what} port {port} is taken{f' by {by}' if by else ''}; choose another with {option}") from why


async def demo(place: Place) -> int:
    """Backends, then edged; ends with a signal or with edged."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery, AsyncExitStack() as stack:
            authority = Authority.make(place.folder)
            authority.issue(place.certificate_file.name, SHOWN)
            inside = authority.server("vault.pem", INSIDE)
            ports = {"refusing": stack.enter_context(refusing_socket()).getsockname()[1]}
            for backend in BACKENDS:
                listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
                ports[backend.name] = listener.socket.getsockname()[1]
                nursery.start_soon(serve, backend, listener, inside)
            place.routes_file.write_text(routes(ports))
            place.settings_file.write_text(settings(place))
            status = await run_edged(place, signals)
            nursery.cancel_scope.cancel()
    return status


async def run_edged(place: Place, signals: AsyncIterator[int]) -> int:
    """The daemon in a session of its own: a Ctrl-C in the terminal reaches us alone, and we stop it."""
    command = [sys.executable, "-m", "edged", "run", "--config", str(place.settings_file)]
    process = await trio.lowlevel.open_process(command, start_new_session=True, stdin=subprocess.DEVNULL)
    ended = False
    try:
        async with trio.open_nursery() as watch:
            watch.start_soon(introduce, place, process)
            ended = await wait_end(process, signals)
            watch.cancel_scope.cancel()
    finally:
        await stop(process, signals)
    if ended:
        print(f"edged ended by itself, with status {process.returncode}", file=sys.stderr)
    return 1 if ended else 0


async def introduce(place: Place, process: trio.Process) -> None:
    """Tell what there is as soon as the site answers."""
    if await wait_ready(place.http_port):
        print(guide(place), flush=True)
    else:
        print(f"the site does not answer on port {place.http_port} after {START_S} s", file=sys.stderr)
        process.terminate()


async def wait_end(process: trio.Process, signals: AsyncIterator[int]) -> bool:
    """Until the process ends (True) or a signal asks us to (False)."""
    async with trio.open_nursery() as first:

        async def until_signal() -> None:
            await anext(signals)
            first.cancel_scope.cancel()

        first.start_soon(until_signal)
        await process.wait()
        first.cancel_scope.cancel()
    return process.returncode is not None


async def wait_ready(port: int) -> bool:
    """Whether the site answers in time."""
    for _ in range(START_S * 20):
        if await trio.to_thread.run_sync(answers, port, abandon_on_cancel=True):
            return True
        await trio.sleep(0.05)
    return False


def answers(port: int) -> bool:
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        connection.request("GET", "/", headers={"Host": "api.localhost", "Connection": "close"})
        good = connection.getresponse().status == http.HTTPStatus.OK
        connection.close()
    except (OSError, http.client.HTTPException):
        return False
    return good


async def stop(process: trio.Process, signals: AsyncIterator[int]) -> None:
    """Asks it to end, and insists after a while or at a second Ctrl-C; nothing of it stays behind."""
    with trio.CancelScope(shield=True):
        for number, patience_s in ((signal.SIGTERM, 4.0), (signal.SIGINT, 1.0)):
            if process.returncode is not None:
                return
            process.send_signal(number)
            with trio.move_on_after(patience_s):
                await wait_end(process, signals)
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
