"""Which names of fields are known. The numbers are those of the header's enum, in its order."""

import re
from itertools import product
from pathlib import Path

import pytest

from edged._fast.parse import head
from tests.doors import head_doors

PXD = (Path(__file__).parents[3] / "edged/_fast/parse/head.pxd").read_text()
WORDS = re.findall(r"^    KNOWN_(\w+)", PXD, re.M)
CERTIFICATE = [
    "X-SSL", "X-SSL-Client-Verify", "X-SSL-Client-Serial", "X-SSL-Client-Version", "X-SSL-Client-SHA1", "X-SSL-Client-DN",
    "X-SSL-Client-CN", "X-SSL-Issuer", "X-SSL-Client-NotBefore", "X-SSL-Client-NotAfter", "X-SSL-Client-DER", "X-SSL-Client-Subject",
]
NAMES = [(word.replace("_", "-").lower(), word) for word in WORDS if word not in ("NONE", "X_SSL", "X_FORWARDED_ALIAS")]
NAMES += [(name, "X_SSL") for name in CERTIFICATE]
FORWARDED = ["X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Proto"]


def known(name):
    data = f"GET / HTTP/1.0\r\n{name}: 1\r\n\r\n".encode()
    facts = head_doors.response(data.replace(b"GET / HTTP/1.0", b"HTTP/1.1 200 OK"))
    return WORDS[facts["fields"][0][2]]


@pytest.mark.parametrize(("name", "word"), NAMES)
def test_a_known_name_in_any_case(name, word):
    if word == "TRANSFER_ENCODING":                          # "1" is no coding
        with pytest.raises(head.HeadError, match="Transfer-Encoding"):
            head.read_response(f"HTTP/1.1 200 OK\r\n{name.title()}: 1\r\n\r\n".encode())
        return
    assert {known(name), known(name.upper()), known(name.lower()), known(name.title())} == {word}


@pytest.mark.parametrize("name", sorted({name for name, _ in NAMES}))
def test_a_name_that_differs_in_one_character_is_not_known(name):
    for i in range(len(name)):
        for other in ("z", "^", "_", "!"):
            changed = name[:i] + other + name[i + 1:]
            if changed.replace("_", "-") != name or name.title() not in (*FORWARDED, *map(str.title, CERTIFICATE)):
                assert known(changed) == "NONE"
    assert known(name + "s") == "NONE"
    assert name == "te" or known(name[:-1]) in ("NONE", "PROXY")


def spellings(name):
    """With underscores for some hyphens, or for all."""
    first, *rest = name.split("-")
    for signs in list(product("-_", repeat=len(rest)))[1:]:
        yield first + "".join(sign + part for sign, part in zip(signs, rest, strict=True))


@pytest.mark.parametrize(("name", "word"), [
    *((name, "X_SSL") for name in CERTIFICATE), *((name, "X_FORWARDED_ALIAS") for name in FORWARDED),
])
def test_an_underscore_is_as_good_as_a_hyphen_where_clients_must_not_send_a_name(name, word):
    for spelled in spellings(name):
        assert {known(spelled), known(spelled.lower()), known(spelled.upper())} == {word}
        assert known(spelled + "s") == known(spelled[:-1]) == known("y" + spelled[1:]) == known(spelled[:-1] + "_") == "NONE"


def test_all_that_the_header_promises_is_covered():
    assert len(WORDS) == 28
    assert {word for _, word in NAMES} == set(WORDS) - {"NONE", "X_FORWARDED_ALIAS"}
