"""How values of a route are written, whatever source or kind reads them. All are pure; those that read raise ValueError."""

import re

from edged.settings.units import address, clipped_time_ms, items, size_bytes, truth

__all__ = ["COOKIE_NAME", "HEADER_NAME", "HSTS", "HSTS_PATTERN", "address", "clipped_time_ms", "items", "size_bytes", "truth"]

HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,255}")               # a token of RFC 9110, 5.6.2
COOKIE_NAME = re.compile(r"[a-zA-Z0-9_-]+")                                  # openshift-routes.md 8.7

# openshift-routes.md 9.3: flags, max-age, flags; blanks around ";" and "=", but not at the ends.
_FLAG = r"(?:[iI][nN][cC][lL][uU][dD][eE][sS][uU][bB][dD][oO][mM][aA][iI][nN][sS]|[pP][rR][eE][lL][oO][aA][dD])"
HSTS_PATTERN = (
    rf"(?:{_FLAG}[ \t]*;[ \t]*)*"
    r"[mM][aA][xX]-[aA][gG][eE][ \t]*=[ \t]*(?:[0-9]+|\"[0-9]+\")"
    rf"(?:[ \t]*;[ \t]*{_FLAG})*"
)
HSTS = re.compile(HSTS_PATTERN)
