"""The OpenSSL that pyOpenSSL has loaded, and where its functions are in this process: the one place with private names.

The engine calls them without Python (architecture of the house: edged/README.md). cffi offers some of them, but not those that
TLS without a copy of every byte needs; the library's own symbol table names them all. There is one such table in every wheel of
`cryptography`; where its OpenSSL is a library of the system, the dynamic linker knows the names.
"""

import ctypes
import mmap
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cryptography.hazmat.bindings import _rust
from OpenSSL import SSL, crypto

from edged._fast.base import openssl
from edged.errors import EdgedError

__all__ = ["NoOpenSSL", "certificate_address", "context_address", "find", "key_address", "load", "version"]

_ffi, _lib = _rust._openssl.ffi, _rust._openssl.lib

_WRAPPERS = ("_cffi_d_SSL_read", "_cffi_d_SSL_new")       # functions whose place in memory cffi tells as well
_SYMBOL = struct.Struct("<IBBHQQ")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMTAB, _FUNCTION = 2, 2

_loaded = False


class NoOpenSSL(EdgedError):
    """The installed cryptography is one whose OpenSSL cannot be called."""


def load() -> None:
    """Give the engine the addresses of what it calls; raises NoOpenSSL. Needed once in a process."""
    global _loaded
    if not _loaded:
        openssl.install(find(openssl.NAMES))
        _loaded = True


def version() -> str:
    """Such as "OpenSSL 4.0.3 29 Sep 2026"."""
    return SSL.OpenSSL_version(SSL.OPENSSL_VERSION).decode()


def find(names: Iterable[str]) -> dict[str, int]:
    """The address of each function; raises NoOpenSSL with the names of those that are nowhere."""
    wanted = set(names)
    found = _in_symbol_table(Path(_rust.__file__), wanted)
    missing = sorted(wanted - found.keys())
    if missing:
        found |= _by_linker(missing)
        missing = sorted(wanted - found.keys())
    if missing:
        raise NoOpenSSL(
            f"the installed cryptography ({version()}) does not show {', '.join(missing)}: install one of its wheels with pip"
        )
    return found


def context_address(context: SSL.Context) -> int:
    """Of its SSL_CTX, which lives as long as the object."""
    return _address(context._context)


def certificate_address(certificate: crypto.X509) -> int:
    return _address(certificate._x509)


def key_address(key: crypto.PKey) -> int:
    return _address(key._pkey)


def _address(pointer: Any) -> int:
    return int(_ffi.cast("uintptr_t", pointer))


def _by_linker(names: Iterable[str]) -> dict[str, int]:
    library = ctypes.CDLL(_rust.__file__)
    found = {}
    for name in names:
        try:
            found[name] = ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0
        except AttributeError:
            continue
    return found


def _in_symbol_table(path: Path, names: set[str]) -> dict[str, int]:
    """By the table that a library carries beside those that the linker needs; empty where it was stripped."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as image:
        if image[:6] != b"\x7fELF\x02\x01":      # 64 bits, little endian
            return {}
        values = _symbols(image, names | set(_WRAPPERS))
    bases = {
        _address(_ffi.addressof(_lib, name.removeprefix("_cffi_d_"))) - values.pop(name) for name in _WRAPPERS if name in values
    }
    if len(bases) != 1:                          # not the file that was loaded, or one we do not understand
        return {}
    base = bases.pop()
    return {name: base + value for name, value in values.items()}


def _symbols(image: mmap.mmap, names: set[str]) -> dict[str, int]:
    """Values of the functions of these names; those that are there more than once are left out."""
    sections_at = int.from_bytes(image[0x28:0x30], "little")
    count = int.from_bytes(image[0x3C:0x3E], "little")
    sections = [_SECTION.unpack_from(image, sections_at + number * _SECTION.size) for number in range(count)]
    found: dict[str, int] = {}
    twice: set[str] = set()
    for _, kind, _, _, offset, size, link, _, _, _ in sections:
        if kind != _SYMTAB:
            continue
        texts = image[sections[link][4] : sections[link][4] + sections[link][5]]
        places = {texts.find(b"\0" + name.encode() + b"\0") + 1: name for name in names}
        for text, info, _, section, value, _ in _SYMBOL.iter_unpack(image[offset : offset + size]):
            if text and section and info & 0xF == _FUNCTION and text in places:
                name = places[text]
                if name in found:
                    twice.add(name)
                found[name] = value
    return {name: value for name, value in found.items() if name not in twice}
