"""The annotation rewrite-target, made safe (openshift-routes.md 9.4)."""

import re

__all__ = ["rewrite_target"]

_PERCENTS = re.compile(r"%+")


def rewrite_target(written: str) -> str | None:
    """What the route's path is replaced with; None: the value is ignored. A "#" at the end says that the rest of the request's
    path is not to follow.

    The rules come from a time when the value stood unquoted in a configuration: quotes vanish unless escaped, percents are
    counted, an unescaped "#" ends the value."""
    if not written.startswith("/") or "\n" in written or "\r" in written:
        return None
    kept, ends = _unquoted(written)
    target = _PERCENTS.sub(lambda run: "%" * (len(run[0]) if len(run[0]) % 2 else len(run[0]) // 2), kept)
    target = target.replace("#", "%23")          # an escaped one stands for itself
    return f"{target}#" if ends else target


def _unquoted(written: str) -> tuple[str, bool]:
    """Without quotes and backslashes, as far as an unescaped "#"; and whether there was one."""
    kept: list[str] = []
    characters = iter(written)
    for character in characters:
        if character == "\\":
            kept.append(next(characters, "").replace("\\", ""))
        elif character == "#":
            return "".join(kept), True
        elif character not in "\"'":
            kept.append(character)
    return "".join(kept), False
