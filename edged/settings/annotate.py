"""The whole settings file with every default, annotated; made from the same declarations that read it."""

import textwrap
from collections.abc import Iterator

from edged.settings.keys import Key, keys_of
from edged.settings.tables import TABLES, ListenerTable

_WIDTH = 118

_HEAD = """\
# Settings of edged, with every default. All tables and keys may be left out, except one [[listener]] with its address.
# A variable named in parentheses stands in for the default; what the file says is stronger.
# Times are written "300ms", "30s", "5m", "1h", "2d"; sizes in bytes, or as "16k", "1m". Relative paths start from the
# directory of this file.
"""

_APART = ("name", "route", "trusted", "client_auth", "client_ca", "client_crl", "client_filter")      # keys that most listeners do without

_SOURCES = """\
# Where routes come from. Each source has a table of its own, which its plugin reads.
[sources.files]
# Files or directories of route files: YAML, read again when they change.
paths = ["routes.d"]
"""


def annotated() -> str:
    """The text of a settings file that changes nothing."""
    parts = [_HEAD, "\n".join(_table("[[listener]]", ListenerTable, comment_out=_APART)), _SOURCES]
    parts += ["\n".join(_table(f"[{name}]", kind)) for name, kind in TABLES.items()]
    return "\n".join(parts)


def _table(head: str, kind: type, comment_out: tuple[str, ...] = ()) -> Iterator[str]:
    yield from textwrap.wrap(kind.__doc__ or "", _WIDTH, initial_indent="# ", subsequent_indent="# ")
    yield head
    for key in keys_of(kind):
        yield from textwrap.wrap(_told(key), _WIDTH, initial_indent="# ", subsequent_indent="#   ")
        value = '"0.0.0.0:8080"' if kind is ListenerTable and key.name == "address" else key.kind.write(key.default)
        yield f"{'# ' if key.name in comment_out else ''}{key.name} = {value}"
    yield ""


def _told(key: Key) -> str:
    words = f" ({', '.join(word.name for word in key.env)})" if key.env else ""
    return f"{key.doc} Values: {key.kind.accepts}.{words}"
