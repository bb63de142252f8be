"""Actions on headers as operators write them: "set X-Frame-Options: DENY", "delete Server"; and in the router's variables."""

import re
from collections.abc import Callable
from urllib.parse import unquote_to_bytes

from edged.model.policy import HeaderAction

__all__ = ["HEADER_NAME", "HEADER_VALUES", "header_action", "header_actions", "of_variable", "shape"]

HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,255}")               # a token of RFC 9110, 5.6.2

# openshift-routes.md 1.4: `%%` is one percent sign, `%[...]` is evaluated for each head.
_FLAGS = r"(?:\{[+-]?[QXE](?:,[+-]?[QXE])*\})?"
_CONVERTED = r"(?:,lower|,base64)*"
HEADER_VALUES = {
    side: re.compile(rf"(?:%%|%{_FLAGS}\[(?:{fetch}\.hdr\([A-Za-z0-9-]+\)|ssl_c_der){_CONVERTED}\]|[^%\x00-\x08\x0a-\x1f\x7f])*")
    for side, fetch in (("request", "req"), ("response", "res"))
}

_ACTION = re.compile(r"set (?P<name>[^: ]+):[ \t]*(?P<value>.*)|delete (?P<gone>[^: ]+)")


def header_action(text: str) -> HeaderAction:
    """An action that `shape` let through."""
    match = _ACTION.fullmatch(text)
    assert match is not None
    return HeaderAction(match["gone"]) if match["gone"] else HeaderAction(match["name"], match["value"])


def header_actions(texts: tuple[str, ...]) -> tuple[HeaderAction, ...]:
    return tuple(header_action(text) for text in texts)


def shape(side: str) -> Callable[[str], str]:
    """Checks one action on a request or response; raises ValueError."""

    def check(text: str) -> str:
        match = _ACTION.fullmatch(text)
        if match is None:
            raise ValueError(f'"{text}" is no action: write "set NAME: VALUE" or "delete NAME"')
        name = match["name"] or match["gone"]
        if not HEADER_NAME.fullmatch(name):
            raise ValueError(f'"{name}" is no name of a header')
        if match["value"] is not None and not HEADER_VALUES[side].fullmatch(match["value"]):
            raise ValueError(f'"{match["value"]}" is no value: a percent sign is written %%, and stands for more only in %[...]')
        return text

    return check


def of_variable(text: str) -> tuple[str, ...]:
    """ROUTER_HTTP_REQUEST_HEADERS: name:value:Set or name:Delete, parted by commas, each part percent-encoded; raises ValueError."""
    return tuple(_item(item) for item in text.split(","))


def _item(item: str) -> str:
    parts = [_decoded(part, item) for part in item.split(":")]
    name = parts[0]
    if not HEADER_NAME.fullmatch(name):
        raise ValueError(f'"{item}": "{name}" is no name of a header')
    if len(parts) == 3 and parts[2] == "Set":
        return f"set {name}: {parts[1]}"
    if len(parts) == 2 and parts[1] == "Delete":
        return f"delete {name}"
    raise ValueError(f'"{item}" is no action: write NAME:VALUE:Set or NAME:Delete')


def _decoded(part: str, item: str) -> str:
    if re.search(r"%(?![0-9A-Fa-f]{2})", part):
        raise ValueError(f'"{item}": a percent sign is written %25')
    try:
        return unquote_to_bytes(part.replace("+", " ")).decode()
    except UnicodeDecodeError:
        raise ValueError(f'"{item}" is not UTF-8') from None
