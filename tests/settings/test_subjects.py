"""Filters of subjects: what the C library reads as other dialects do is taken, all else refused."""

import re

import pytest

from edged.settings import subjects


@pytest.mark.parametrize("text", [
    "", "/CN=ann", "^/CN=(ann|eve)$", r"/O=Example\.com/", "[[:alpha:]]+", "[]a]*", "[^]/]+", "a{2,3}", r"\w+@\S+", r"\bann\b", "ü(ö)+",
    r"a\*+", "[a-z-]?", r"/CN=\(x\)", "[.]{2}", "a|", "()",
])
def test_what_is_taken(text):
    assert subjects.check(text) == text


@pytest.mark.parametrize(("text", "why"), [
    (r"/CN=\d+", r"column 5: \d is not known"), (r"(a)\1", r"column 4: \1 is not known"), (r"\x41", "is not known"),
    (r"\Qa\E", "is not known"), (r"\pL", "is not known"), (r"\é", "is not known"), (r"a\>", "no sign but a place"),
    (r"\'", "no sign but a place"),
    (r"[\d]", "column 1: a backslash in brackets"), (r"x[a\]]", "column 2: a backslash in brackets"), ("[äö]", "bytes, not letters"),
    ("a+?b", "column 3: +? is read as"), ("a*+", "is read as"), ("a{2}?", "is read as"), ("a??", "is read as"),
    ("ö+", "only the last byte of ö"),
    ("(?i)a", "no regular expression: Invalid preceding"), ("a(", "Unmatched"), ("[z-a]", "Invalid range"), ("*", "Invalid preceding"),
    ("a\\", "Trailing backslash"), ("[a", "Unmatched"), ("a{1", "Unmatched"), ("a\0b", "a zero byte"),
])
def test_what_is_refused(text, why):
    with pytest.raises(ValueError, match=re.escape(why)):
        subjects.check(text)
