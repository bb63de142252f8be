"""Which names of fields are known. The numbers are those of the header's enum, in its order."""

import re
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
NAMES = [(word.replace("_", "-").lower(), word) for word in WORDS if word not in ("NONE", "X_SSL")]
NAMES += [(name, "X_SSL") for name in CERTIFICATE]


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
            assert known(name[:i] + other + name[i + 1:]) == "NONE"
    assert known(name + "s") == "NONE"
    assert name == "te" or known(name[:-1]) in ("NONE", "PROXY")


def test_all_that_the_header_promises_is_covered():
    assert len(WORDS) == 27
    assert {word for _, word in NAMES} == set(WORDS) - {"NONE"}
