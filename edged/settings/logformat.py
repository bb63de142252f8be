"""HAProxy's log-format text, read into pieces that the engine writes one after another. Everything raises ValueError, with the
column of what is wrong."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["HIDDEN_MOST", "Capture", "Piece", "capture", "captured", "check", "cookie", "haproxy_word", "pieces"]

HIDDEN_MOST = 512                                # bytes of a header that a format asks for by %[req.hdr(NAME)]

_ALIASES = frozenset({
    "ci", "cp", "fi", "fp", "si", "sp", "t", "tr", "T", "Tl", "trg", "trl", "Ts", "ms", "f", "ft", "b", "s", "ST", "B", "U", "TR", "Tq",
    "Tw", "Tc", "Tr", "Td", "Ta", "Tt", "Ti", "Th", "CC", "CS", "ts", "tsc", "ac", "fc", "bc", "sc", "rc", "sq", "bq", "hr", "hs",
    "hrl", "hsl", "r", "HM", "HU", "HP", "HQ", "HV", "ID", "rt", "lc", "pid", "H", "o", "sslc", "sslv",
})
_FETCHES = {                                     # sample fetches, by the alias that says the same
    "src": "ci", "src_port": "cp", "dst": "fi", "dst_port": "fp", "method": "HM", "path": "HP", "query": "query", "url": "url",
    "pathq": "url", "status": "ST", "unique-id": "ID", "fe_name": "f", "be_name": "b", "srv_name": "s", "pid": "pid", "hostname": "H",
    "capture.req.method": "HM", "capture.req.uri": "HU",
    "ssl_fc": "ssl_fc", "ssl_fc_cipher": "sslc", "ssl_fc_protocol": "sslv", "ssl_fc_sni": "ssl_fc_sni",
    "ssl_c_used": "ssl_c_used", "ssl_c_verify": "ssl_c_verify", "ssl_c_serial,hex": "ssl_c_serial", "ssl_c_version": "ssl_c_version",
    "ssl_c_sha1,hex": "ssl_c_sha1", "ssl_c_s_dn": "ssl_c_s_dn", "ssl_c_s_dn(cn)": "ssl_c_s_dn_cn", "ssl_c_i_dn": "ssl_c_i_dn",
    "ssl_c_notbefore": "ssl_c_notbefore", "ssl_c_notafter": "ssl_c_notafter",
}
_HEADER_FETCHES = {"req.hdr": "request", "req.fhdr": "request", "hdr": "request", "res.hdr": "response", "res.fhdr": "response"}
_PIECE = re.compile(
    r"(?P<literal>(?:[^%\s]|%%)+)|(?P<space>\s+)"
    r"|%(?:\{(?P<flags>[^}]*)\})?(?:\[(?P<fetch>[^\]]*)\]|(?P<alias>[A-Za-z][A-Za-z0-9]*))"
)
_HEADER = re.compile(r"(?P<fetch>[a-z.]+)\((?P<name>[A-Za-z0-9!#$%&'*+.^_`|~-]{1,255})\)")
_CAPTURE = re.compile(r"(?P<name>[A-Za-z0-9!#$%&'*+.^_`|~-]{1,255}):(?P<most>[0-9]{1,5})")
_COOKIE = re.compile(r"(?P<name>[A-Za-z0-9!#$%&'*+.^_`|~-]{1,255}=?):(?P<most>[0-9]{1,5})")
_MOST_BYTES = 8192


@dataclass(frozen=True, slots=True)
class Piece:
    """One thing to write. `word`: "literal", "space", an alias, or "header" for a field of request or response."""

    word: str
    flags: str = ""                              # of Q, E, X
    text: str = ""                               # of a literal; name of a header
    side: str = ""                               # of a header


@dataclass(frozen=True, slots=True)
class Capture:
    """A field or cookie that is kept for the line, and how many bytes of it at most."""

    name: str
    most: int


def check(text: str) -> str:
    pieces(text)
    return text


def pieces(text: str) -> tuple[Piece, ...]:
    return tuple(_pieces(text))


def _pieces(text: str) -> Iterator[Piece]:
    default, at = "", 0
    while at < len(text):
        match = _PIECE.match(text, at)
        if match is None:
            raise ValueError(f'column {at + 1}: "{text[at:at + 8]}" is no variable: a percent sign is written %%')
        if match["literal"] is not None:
            yield Piece("literal", text=match["literal"].replace("%%", "%"))
        elif match["space"] is not None:
            yield Piece("space")
        else:
            flags = default if match["flags"] is None else _flags(match["flags"], default, at)
            if match["alias"] == "o":
                default = flags
            elif match["alias"] is not None:
                yield _alias(match["alias"], flags, at)
            else:
                yield _fetch(match["fetch"], flags, at)
        at = match.end()


def _flags(written: str, default: str, at: int) -> str:
    flags = set(default)
    for word in written.split(","):
        if not re.fullmatch(r"[+-]?[QEX]", word):
            raise ValueError(f'column {at + 1}: {{{written}}} is no list of flags: known are +Q, +E, +X and the same with "-"')
        if word.startswith("-"):
            flags.discard(word[-1])
        else:
            flags.add(word[-1])
    return "".join(sorted(flags))


def _alias(name: str, flags: str, at: int) -> Piece:
    if name not in _ALIASES:
        raise ValueError(f"column {at + 1}: there is no variable %{name}")
    return Piece(name, flags)


def _fetch(text: str, flags: str, at: int) -> Piece:
    match = _HEADER.fullmatch(text)
    if match is not None and match["fetch"] in _HEADER_FETCHES:
        return Piece("header", flags, match["name"], _HEADER_FETCHES[match["fetch"]])
    if text in _FETCHES:
        return Piece(_FETCHES[text], flags)
    known = ", ".join([*_FETCHES, *(f"{fetch}(NAME)" for fetch in _HEADER_FETCHES)])
    raise ValueError(f"column {at + 1}: %[{text}] cannot be answered here; known are {known}")


def capture(text: str) -> str:
    """Checks "Host:64"."""
    _captured(_CAPTURE, text, '"Host:64"')
    return text


def cookie(text: str) -> str:
    """Checks "SESSION=:32", or "SESSION:32" for every cookie whose name begins so."""
    _captured(_COOKIE, text, '"SESSION=:32"')
    return text


def captured(text: str) -> Capture:
    """A capture, of a field or cookie, that was checked."""
    name, _, most = text.rpartition(":")
    return Capture(name, int(most))


def _captured(shape: re.Pattern[str], text: str, example: str) -> None:
    match = shape.fullmatch(text)
    if match is None:
        raise ValueError(f'"{text}" is no capture: write a name and how many bytes to keep, such as {example}')
    if not 0 < int(match["most"]) <= _MOST_BYTES:
        raise ValueError(f'"{text}": {match["most"]} is out of range: 1 to {_MOST_BYTES}')


def haproxy_word(text: str) -> str:
    """A variable is one word of HAProxy's configuration: in quotes, or with a backslash before blanks and quotes."""
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1]
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1]
    return re.sub(r"\\(.)", r"\1", text)
