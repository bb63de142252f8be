"""What was served last, on disk: a control process that starts anew has it in force until the sources speak.

No key is in it: of a certificate it tells the id, so that workers who still have that one go on with it."""

import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgpack
import trio

from edged.durable import replace_file
from edged.hooks import Route, pack_routes, unpack_routes
from edged.model.state import State

__all__ = ["FILE", "Recall", "read_recall"]

FILE = "snapshot.msgpack"

log = logging.getLogger(__name__)

_FORMAT = 1
_MOST_BYTES = 1 << 30
_CHUNK = 200                                     # routes that are packed between two looks at the loop
_LEAST_PAUSE_S = 1.0
_PAUSE_TO_WORK = 100                             # so writing takes a hundredth of the processor at most


class Recall:
    """Writes the state to disk some time after it changed."""

    def __init__(self, state_dir: str, state: Callable[[], State], source_of: Callable[[], dict[str, str]]) -> None:
        """`source_of` answers the source of each place where routes were read (`Origin.where`)."""
        self._path = Path(state_dir) / FILE
        self._state = state
        self._source_of = source_of
        self._changed = trio.Event()
        self._written = 0                        # version
        self._failed = ""

    def touch(self) -> None:
        """The state has changed."""
        self._changed.set()

    async def run(self) -> None:
        """Write for ever."""
        pause_s = _LEAST_PAUSE_S
        while True:
            await self._changed.wait()
            await trio.sleep(pause_s)
            self._changed = trio.Event()
            started_s = time.thread_time()
            await self.write()
            pause_s = max(_LEAST_PAUSE_S, _PAUSE_TO_WORK * (time.thread_time() - started_s))

    async def write(self) -> None:
        """Write the present state, unless it is what was written last."""
        state = self._state()
        if state.version == self._written:
            return
        body = await self._packed(state)
        try:
            await trio.to_thread.run_sync(_keep, self._path, body)
        except OSError as why:
            if str(why) != self._failed:
                log.warning("the state cannot be kept in %s: %s; a restart begins without it", self._path, why.strerror)
            self._failed = str(why)
        else:
            self._written, self._failed = state.version, ""

    async def _packed(self, state: State) -> bytes:
        """The state is immutable, so packing may take its time without holding up a change."""
        places = self._source_of()
        by_source: dict[str, list[Route]] = {}
        for route in state.routes:
            by_source.setdefault(places.get(route.origin.where, ""), []).append(route)
        sources: dict[str, list[bytes]] = {}
        for source, routes in by_source.items():
            chunks = sources.setdefault(source, [])
            for start in range(0, len(routes), _CHUNK):
                chunks.append(pack_routes(routes[start:start + _CHUNK], keys=False))
                await trio.lowlevel.checkpoint()
        packed: bytes = msgpack.packb({"format": _FORMAT, "version": state.version, "sources": sources})
        return packed


def read_recall(state_dir: str) -> tuple[int, dict[str, tuple[Route, ...]]]:
    """Version and routes by source of what was written last; version 0 and nothing if there is none that can be read."""
    path = Path(state_dir) / FILE
    try:
        with path.open("rb") as file:
            body = msgpack.unpackb(file.read(_MOST_BYTES))
        if body["format"] != _FORMAT:
            raise ValueError(f"it has format {body['format']}")
        return int(body["version"]), {source: _unpacked(chunks) for source, chunks in body["sources"].items()}
    except FileNotFoundError:
        return 0, {}
    except OSError as why:
        log.warning("%s cannot be read: %s", path, why.strerror)
    except (ValueError, TypeError, KeyError, AttributeError, msgpack.exceptions.UnpackException) as why:
        log.warning("%s is of no use: %s", path, why)
    return 0, {}


def _unpacked(chunks: Iterable[bytes]) -> tuple[Route, ...]:
    return tuple(route for chunk in chunks for route in unpack_routes(chunk))


def _keep(path: Path, body: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace_file(path, body)
