"""How values of a route are written, whatever source or kind reads them. All are pure; those that read raise ValueError."""

import re

from edged.settings.headers import HEADER_NAME, HEADER_VALUES
from edged.settings.units import address, clipped_time_ms, items, size_bytes, truth, whole_number

__all__ = [
    "COOKIE_NAME", "HEADER_NAME", "HEADER_VALUES", "HSTS", "address", "clipped_time_ms", "host_flaw", "items", "size_bytes", "truth",
    "whole_number",
]

COOKIE_NAME = re.compile(r"[a-zA-Z0-9_-]+")                                  # openshift-routes.md 8.7

# openshift-routes.md 9.3: flags, max-age, flags; blanks around ";" and "=", but not at the ends.
_FLAG = r"(?:includeSubDomains|preload)"
HSTS = re.compile(
    rf"(?:{_FLAG}[ \t]*;[ \t]*)*max-age[ \t]*=[ \t]*(?:[0-9]+|\"[0-9]+\")(?:[ \t]*;[ \t]*{_FLAG})*", re.IGNORECASE | re.ASCII
)

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def host_flaw(host: str) -> str | None:
    """What is wrong with a host by openshift-routes.md 2.1; None: it is a DNS-1123 subdomain of DNS-1123 labels."""
    if len(host) > 253:
        return "a host has at most 253 characters"
    for label in host.split("."):
        if not _LABEL.fullmatch(label):
            return f'"{label}" is no part of a DNS name: at most 63 of a-z, 0-9 and "-", with a letter or digit at both ends'
    return None
