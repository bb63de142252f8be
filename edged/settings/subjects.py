"""Which subjects of clients' certificates may come in: the regular expression that the engine searches with.

It is a POSIX extended one, of the C library, over bytes. What other dialects write may mean something else there, or nothing, and a
filter must not let in whom its author did not mean: so what is read differently is refused. Everything raises ValueError.
"""

import ctypes
import re

__all__ = ["check"]

_EXTENDED, _NO_PLACES = 1, 8                     # flags of regcomp
_REGEX_BYTES = 256                               # more than any regex_t
_WHY_BYTES = 200
_TOKEN = re.compile(
    r"\\(?P<escaped>.)|(?P<set>\[\^?\]?(?:\[[:.=].*?[:.=]\]|[^\]])*\])|(?P<times>[*+?]|\{[0-9,]+\})|(?P<other>.)", re.DOTALL
)
_ESCAPES = frozenset("wWsSbB")                   # of the letters, these mean in every dialect the same


def check(text: str) -> str:
    """The expression as it was given."""
    if "\0" in text:
        raise ValueError("a zero byte is in no subject")
    before = ""
    for token in _TOKEN.finditer(text):
        _check_token(token, before)
        before = token[0]
    _compile(text)
    return text


def _check_token(token: re.Match[str], before: str) -> None:
    escaped, where = token["escaped"], f"column {token.start() + 1}: "
    if escaped is not None and escaped.isalnum() and escaped not in _ESCAPES:
        raise ValueError(f"{where}\\{escaped} is not known; a digit is [0-9], and what a group has found cannot be asked for again")
    if escaped is not None and escaped in "<>'`":
        raise ValueError(f"{where}\\{escaped} is no sign but a place; the sign is {escaped} alone")
    if token["set"] is not None and "\\" in token["set"]:
        raise ValueError(f"{where}a backslash in brackets stands for itself: write ] first and - last instead")
    if token["set"] is not None and not token["set"].isascii():
        raise ValueError(f"{where}{token['set']} would compare bytes, not letters: write (a|b) instead of [ab]")
    if token["times"] is None:
        return
    if before and before[-1] in "*+?}" and not before.startswith("\\"):
        raise ValueError(f"{where}{before}{token['times']} is read as a repetition of a repetition; greed makes no difference here")
    if not before.isascii():
        raise ValueError(f"{where}only the last byte of {before} would be repeated: write ({before}){token['times']}")


def _compile(text: str) -> None:
    library = ctypes.CDLL(None)
    compiled, why = ctypes.create_string_buffer(_REGEX_BYTES), ctypes.create_string_buffer(_WHY_BYTES)
    answer = library.regcomp(compiled, text.encode(), _EXTENDED | _NO_PLACES)
    if answer:
        library.regerror(answer, compiled, why, ctypes.c_size_t(_WHY_BYTES))
        raise ValueError(f'"{text}" is no regular expression: {why.value.decode(errors="replace")}')
    library.regfree(compiled)
