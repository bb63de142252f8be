"""What a worker has to learn to come from one picture to the next: a message, and a sealed memory file with the certificates and keys."""

import fcntl
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgpack

from edged.control.certificates import Picture
from edged.model.certificate import Certificate

__all__ = ["Parcel", "Parcels", "contents"]

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_NOTHING = Picture()


@dataclass(frozen=True, slots=True)
class Parcel:
    """`fd` belongs to who asked for it."""

    message: dict[str, Any]
    fd: int
    certificates: int                            # how many are within
    size_bytes: int


class Parcels:
    """Packs parcels; the last one is kept, as all workers mostly come from the same picture to the same."""

    def __init__(self) -> None:
        self._last: tuple[Picture | None, Picture, Parcel] | None = None

    def pack(self, old: Picture | None, new: Picture) -> Parcel:
        """`old`: what the worker has; None: nothing, or nobody knows what. Raises OSError."""
        if self._last is None or self._last[0] is not old or self._last[1] is not new:
            self.forget()
            body = contents(old, new)
            packed = msgpack.packb(body)
            message = {"type": "certificates", "version": new.version, "whole": old is None and new.whole}
            self._last = old, new, Parcel(message, _sealed(packed), len(body["certificates"]), len(packed))
        parcel = self._last[2]
        return Parcel(parcel.message, os.dup(parcel.fd), parcel.certificates, parcel.size_bytes)

    def forget(self) -> None:
        """Nobody needs the last one any more: its memory goes."""
        if self._last is not None:
            os.close(self._last[2].fd)
            self._last = None


def contents(old: Picture | None, new: Picture) -> dict[str, Any]:
    """The body of a parcel. `names`: the id of what each shows from now on, None: nothing of its own; `alpn`: those of `names` for
    which a protocol may be agreed upon; `crls`: all that a source has. What is not told stays as it was. While the picture is not whole
    nothing is forgotten, as what we do not know may need it."""
    last = _NOTHING if old is None else old
    known, needed = _by_id(last), _by_id(new)
    names: dict[str, str | None] = {}
    for name, one in new.names.items():
        before = last.names.get(name)
        if before is not one and before != one:  # mostly it is the same object
            names[name] = one.id
    names.update((name, new.names[name].id) for name in last.alpn ^ new.alpn if name in new.names)
    names.update((name, None) for name in last.names.keys() - new.names.keys())
    return {
        "certificates": {number: [one.chain, one.key, one.ocsp] for number, one in needed.items() if number not in known},
        "forget": sorted(known.keys() - needed.keys()) if new.whole else [],
        "names": names,
        "alpn": sorted(name for name in names if name in new.alpn),
        "default": new.default.id if new.default is not None else None,
        "trusts": {number: [one.authorities, one.verify] for number, one in new.trusts.items() if number not in last.trusts},
        "forget_trusts": sorted(last.trusts.keys() - new.trusts.keys()) if new.whole else [],
        "crls": {source: lists for source, lists in new.crls.items() if last.crls.get(source) != lists},
    }


@lru_cache(maxsize=2)
def _by_id(picture: Picture) -> dict[str, Certificate]:
    found = {one.id: one for one in picture.names.values()}
    if picture.default is not None:
        found[picture.default.id] = picture.default
    return found


def _sealed(body: bytes) -> int:
    """A memory file that nobody can change any more."""
    fd = os.memfd_create("edged-certificates", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        left: Sequence[int] = memoryview(body)
        while left:
            left = left[os.write(fd, left):]     # type: ignore[arg-type]
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except OSError:
        os.close(fd)
        raise
    return fd
