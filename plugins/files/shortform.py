"""The short form: documents with a list `routes`. Their shape is that of routes.schema.json, which editors may use as well."""

import copy
import difflib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from hashlib import md5
from importlib.resources import files
from typing import Any

import fastjsonschema

from edged.hooks import (
    Algorithm,
    Backend,
    Balance,
    Cookie,
    Endpoint,
    Forwarded,
    HeaderAction,
    Origin,
    Problem,
    Route,
    Timeouts,
)
from edged.hooks.values import HSTS, address, clipped_time_ms, size_bytes

from .beside import Beside
from .secured import Unusable, secured, tls_wrongs
from .tree import Document, List, Map, line_of

__all__ = ["Defaults", "Kept", "read_routes", "schema"]

_PROBLEMS_MOST = 10                              # of one route
_BODY_MOST_BYTES = 1 << 40
_PLACEHOLDERS: dict[Any, Any] = {"to": [], "address": "127.0.0.1:1", "host": "x", "name": "x", "algorithm": "first"}
_FINS = {"server-fin": "server_fin_ms", "client-fin": "client_fin_ms"}

Step = str | int


@dataclass(frozen=True, slots=True)
class Defaults:
    """`[defaults]` of the settings, as far as it fills what a route leaves out."""

    balance: str = "roundrobin"
    retries: int = 3
    redispatch: int = -1
    forwarded: str = "append"
    max_body_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Kept:
    """In place of a route whose certificate cannot be served: the one of this key that was in force before should stay."""

    key: str


def read_routes(document: Document, where: str, defaults: Defaults, beside: Beside) -> Iterator[Route | Kept | Problem]:
    """The routes of a document with a list `routes`, and a problem for each thing that is wrong; a route with one is left out."""
    body = document.value
    for key in body:
        if key != "routes":
            yield _problem(document, where, (key,), f"unknown key{_meant(key, ['routes'])}")
    written = body["routes"]
    if written is None:                          # "routes:" with nothing below it
        return
    if not isinstance(written, List):
        yield _problem(document, where, ("routes",), "must be a list")
        return
    doubled: dict[int, list[tuple[Step, ...]]] = {}
    for duplicate in document.duplicates:
        if duplicate.path[0] == "routes" and len(duplicate.path) > 1:
            yield Problem(Origin(where, duplicate.line), _told(duplicate.path), "this key is here twice")
            doubled.setdefault(int(duplicate.path[1]), []).append(duplicate.path)
        else:
            yield Problem(Origin(where, duplicate.line), _told(duplicate.path), "this key is here twice")
    for number, entry in enumerate(written):
        found = [_problem(document, where, ("routes", number, *path), message) for path, message in _wrongs(entry)]
        yield from found
        if not found and number not in doubled:
            try:
                yield _route(entry, Origin(where, written.lines[number]), defaults, beside)
            except Unusable as why:
                yield from (_problem(document, where, ("routes", number, *path), message) for path, message in why.wrongs)
                yield Kept(_key(entry))


def schema() -> dict[str, Any]:
    """The JSON Schema of a short-form document."""
    parsed: dict[str, Any] = json.loads(files(__package__).joinpath("routes.schema.json").read_text())
    return parsed


# ---- what is wrong ----


def _wrongs(entry: Any) -> Iterator[tuple[Sequence[Step], str]]:
    """Path and message for each thing that is wrong with one route, up to a few."""
    try:
        _check()(entry)
    except fastjsonschema.JsonSchemaValueException:
        yield from _all_wrongs(entry)
        return
    balance = entry.get("balance")
    if isinstance(balance, dict) and balance["algorithm"] in ("hdr", "url_param") and "key" not in balance:
        yield ("balance", "key"), f"is missing: {balance['algorithm']} needs the name to look for"
    yield from tls_wrongs(entry)


def _all_wrongs(entry: Any) -> Iterator[tuple[Sequence[Step], str]]:
    """The validator stops at the first error: put right what it names, and ask again."""
    check, keys = _check(tells=True), _keys()
    rest = copy.deepcopy(entry)
    for _ in range(_PROBLEMS_MOST):
        try:
            check(rest)
        except fastjsonschema.JsonSchemaValueException as why:
            path = _steps(rest, why.path[1:])
            value = _at(rest, path)
            if why.rule == "additionalProperties":
                known = keys.below(path)
                for key in [key for key in value if key not in known]:
                    del value[key]
                    yield (*path, key), f"unknown key{_meant(key, known)}"
                continue
            yield path, _message(why)
            if why.rule in ("required", "anyOf"):
                value.update({key: _PLACEHOLDERS[key] for key in (why.rule_definition if why.rule == "required" else ["name"])} | value)
                continue
            if not path:
                return
            parent = _at(rest, path[:-1])
            if isinstance(path[-1], int):        # the others keep their numbers
                parent[path[-1]] = _PLACEHOLDERS["address"] if path[0] == "to" else "x"
            else:
                del parent[path[-1]]
                if path[-1] in _PLACEHOLDERS:            # else it would be told that this is missing
                    parent[path[-1]] = _PLACEHOLDERS[path[-1]]
        else:
            return


def _message(why: fastjsonschema.JsonSchemaValueException) -> str:
    wanted, value = why.rule_definition, why.value
    match why.rule:
        case "type":
            names = {"string": "a text", "object": "a mapping", "array": "a list", "integer": "a whole number", "boolean": "true or false"}
            kinds = [wanted] if isinstance(wanted, str) else wanted
            return f"must be {' or '.join(names[kind] for kind in kinds)}, not {_called(value)}"
        case "enum":
            close = difflib.get_close_matches(str(value), wanted, n=1)
            return f"must be one of {', '.join(wanted)}" + (f'; did you mean "{close[0]}"?' if close else "")
        case "minimum" | "maximum":
            return f"must be at {'least' if why.rule == 'minimum' else 'most'} {wanted}"
        case "maxLength" | "maxItems" | "maxProperties":
            return f"is too long: at most {wanted}"
        case "minLength":
            return "must not be empty"
        case "required":
            return f"{' and '.join(key for key in wanted if key not in value)} is missing"
        case "anyOf":
            return "a route needs a host, or a name for a tcp listener to ask for"
        case "format":
            return _format_message(wanted, value)
        case "propertyNames":
            return "this is no name of a header"
        case _:
            field = next((step for step in ("set", "to_tls") if step in why.path[1:-1]), str(why.path[-1]))
            return f"{_called(value)} is not of the right form" + _PATTERN_HINTS.get(field, "")


_PATTERN_HINTS = {
    "host": ': write "www.example.com", "*.example.com" or "*"',
    "path": ': it starts with "/" and has no blank, "#" or "?"',
    "rewrite": ': it starts with "/" and has no blank, "#" or "?"',
    "name": ": no blanks or control characters",
    "cookie": ": letters, digits, _ and -",
    "to_tls": ": it is a host name",
    "server_name": ": it is a host name",
    "set": ": no control characters; a percent sign is written %%, and stands for more only in %[...]",
}


def _format_message(name: str, value: str) -> str:
    if name == "hsts":
        return 'must be "max-age=NUMBER", with "; includeSubDomains" or "; preload" if wanted'
    try:
        {"endpoint": address, "time-units": clipped_time_ms, "size": size_bytes}[name](value)
    except ValueError as why:
        return str(why)
    return 'an endpoint needs a port: write "10.0.0.1:8080"' if name == "endpoint" else "is too large"


def _called(value: Any) -> str:
    """How a value is told in a message."""
    if isinstance(value, str):
        return json.dumps(value if len(value) < 60 else f"{value[:57]}...", ensure_ascii=False)
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, list) else json.dumps(value, default=str)


def _meant(key: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    return f'; did you mean "{close[0]}"?' if close else f"; known are {', '.join(known)}"


def _steps(value: Any, path: Sequence[str]) -> tuple[Step, ...]:
    """The validator's path, with numbers for places in lists; keys that have a dot in them come in parts."""
    steps: list[Step] = []
    parts = list(path)
    while parts:
        if isinstance(value, list) and parts[0].isdigit():
            step: Step = int(parts.pop(0))
        else:
            n = next((n for n in range(len(parts), 0, -1) if isinstance(value, dict) and ".".join(parts[:n]) in value), len(parts))
            step, parts = ".".join(parts[:n]), parts[n:]
        steps.append(step)
        value = _at(value, (step,))
    return tuple(steps)


def _at(value: Any, path: Sequence[Step]) -> Any:
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _told(path: Sequence[Step]) -> str:
    """A path as operators write it: routes[3].to[0].weight"""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")


def _problem(document: Document, where: str, path: Sequence[Step], message: str) -> Problem:
    name = ""
    if len(path) > 1 and path[0] == "routes":
        entry = _at(document.value, path[:2])
        name = str(entry.get("name") or entry.get("host") or "") if isinstance(entry, dict) else ""
    return Problem(Origin(where, line_of(document.value, path, document.line)), _told(path), message, name)


@dataclass(frozen=True, slots=True)
class _Keys:
    """Which keys a mapping may have, by the schema."""

    route: Mapping[str, Any]
    definitions: Mapping[str, Any]

    def below(self, path: Sequence[Step]) -> list[str]:
        shape = self.route
        for step in path:
            shape = shape["items"] if isinstance(step, int) else shape["properties"][step]
            if "$ref" in shape:
                shape = self.definitions[shape["$ref"].rpartition("/")[2]]
        return list(shape["properties"])


@cache
def _check(*, tells: bool = False) -> Callable[[Any], Any]:
    """The compiled check of one route, made when the first one is read. One that tells what is wrong takes three times as long to make:
    it is there only if something is."""
    formats = {"hsts": _is_hsts, "endpoint": _is_endpoint, "time-units": _is_time, "size": _is_size}
    shape = {"definitions": schema()["definitions"], "$ref": "#/definitions/route"}
    check: Callable[[Any], Any] = fastjsonschema.compile(shape, formats=formats, use_default=False, detailed_exceptions=tells)
    return check


@cache
def _keys() -> _Keys:
    definitions = schema()["definitions"]
    return _Keys(definitions["route"], definitions)


def _is_hsts(text: str) -> bool:
    return HSTS.fullmatch(text) is not None


def _is_endpoint(text: str) -> bool:
    try:
        meant = address(text)
    except ValueError:
        return False
    return bool(meant.path or meant.port)


def _is_time(text: str) -> bool:
    try:
        return clipped_time_ms(text) > 0
    except ValueError:
        return False


def _is_size(text: str) -> bool:
    try:
        return size_bytes(text) <= _BODY_MOST_BYTES
    except ValueError:
        return False


# ---- the route ----


def _key(entry: Map) -> str:
    written: str = entry.get("name") or entry.get("host", "").lower() + entry.get("path", "")
    return written


def _route(entry: Map, origin: Origin, defaults: Defaults, beside: Beside) -> Route:
    """A route of what the schema has let through. Raises Unusable."""
    host = entry.get("host", "").lower()
    path = entry.get("path", "")
    name = _key(entry)
    tls = secured(entry, origin, beside)
    to_tls = entry.get("to_tls", {})
    endpoints = tuple(_endpoints(entry, name))
    named = "to_tls" in entry and all(one.server_name for one in endpoints)
    sticky = entry.get("cookie")
    if sticky is None and any(isinstance(one, dict) and "cookie" in one for one in entry["to"]):
        sticky = md5(f" {name}".encode(), usedforsecurity=False).hexdigest()
    max_body = entry.get("max_body", defaults.max_body_bytes)
    return Route(
        key=name, host=host, path=path,
        backend=Backend(
            name, endpoints, _balance(entry.get("balance", defaults.balance)), _timeouts(entry.get("timeouts", {})),
            {"v1": 1, "v2": 2}.get(entry.get("send_proxy", ""), 0), entry.get("retries", defaults.retries),
            entry.get("redispatch", defaults.redispatch), entry.get("maxqueue", 0), tls.trust,
            named and to_tls.get("verify", True), named and to_tls.get("sni", True),
        ),
        wildcard=host.startswith("*."), termination=tls.termination, insecure=tls.insecure, certificate=tls.certificate,
        forwarded=Forwarded(entry.get("forwarded", defaults.forwarded)),
        cookie=Cookie(sticky) if sticky else None,
        rewrite=entry.get("rewrite"),
        hsts=entry.get("hsts", ""),
        request_headers=_actions(entry.get("request_headers", {})),
        response_headers=_actions(entry.get("response_headers", {})),
        adjust_case=entry.get("h1_adjust_case", False),
        max_body_bytes=size_bytes(max_body) if isinstance(max_body, str) else max_body,
        origin=origin,
    )


def _endpoints(entry: Map, route: str) -> Iterator[Endpoint]:
    sticky = "cookie" in entry or any(isinstance(one, dict) and "cookie" in one for one in entry["to"])
    names: set[str] = set()
    for written in entry["to"]:
        one: Mapping[str, Any] = {"address": written} if isinstance(written, str) else written
        meant = address(one["address"])
        name = one.get("name") or str(meant)
        if name in names:                        # the same once more
            continue
        names.add(name)
        cookie = one.get("cookie", "")
        if sticky and not cookie:
            cookie = md5(f"ept:{route}::{meant}".encode(), usedforsecurity=False).hexdigest()
        yield Endpoint(
            meant.path or meant.host, meant.port, name, one.get("weight", 1), cookie, one.get("maxconn", 0), one.get("backup", False),
            one.get("server_name") or entry.get("to_tls", {}).get("name", ""),
        )


def _balance(written: str | Mapping[str, Any]) -> Balance:
    if isinstance(written, str):
        return _plain_balance(written)
    return Balance(
        Algorithm(written["algorithm"]), written.get("key", ""), written.get("hash") == "consistent", written.get("function", ""),
        written.get("avalanche", False), written.get("whole", False), written.get("depth", 0), written.get("length", 0),
        written.get("draws", 2),
    )


@lru_cache(maxsize=16)
def _plain_balance(algorithm: str) -> Balance:
    return Balance(Algorithm(algorithm))


def _timeouts(written: Mapping[str, str | int]) -> Timeouts:
    return _shared_timeouts(tuple(
        (_FINS.get(name, f"{name}_ms"), clipped_time_ms(time) if isinstance(time, str) else time) for name, time in written.items()
    ))


@lru_cache(maxsize=256)
def _shared_timeouts(times: tuple[tuple[str, int], ...]) -> Timeouts:
    return Timeouts(**dict(times))


def _actions(written: Mapping[str, Any]) -> tuple[HeaderAction, ...]:
    """Deletions first: what is set then stays."""
    return (
        *(HeaderAction(name) for name in written.get("delete", ())),
        *(HeaderAction(name, value) for name, value in written.get("set", {}).items()),
    )
