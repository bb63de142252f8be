"""Names of ciphers, suites, groups and versions, as operators write them; whether the OpenSSL that is loaded knows them.

OpenSSL is imported when it is first asked: the supervisor, and a site without TLS, do without it.
"""

import re
from collections.abc import Callable

__all__ = ["PROFILES", "VERSIONS", "check_ciphers", "check_groups", "check_suites", "cipher_list", "known_ciphers"]

VERSIONS = {"TLSv1.0": 0x301, "TLSv1.1": 0x302, "TLSv1.2": 0x303, "TLSv1.3": 0x304}

_MODERN = (
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384:"
    "ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256"
)
_INTERMEDIATE = (
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES256-SHA384:ECDHE-RSA-AES128-SHA:"
    "ECDHE-ECDSA-AES256-SHA384:ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA:DHE-RSA-AES128-SHA256:DHE-RSA-AES128-SHA:"
    "DHE-RSA-AES256-SHA256:DHE-RSA-AES256-SHA:ECDHE-ECDSA-DES-CBC3-SHA:ECDHE-RSA-DES-CBC3-SHA:EDH-RSA-DES-CBC3-SHA:"
    "AES128-GCM-SHA256:AES256-GCM-SHA384:AES128-SHA256:AES256-SHA256:AES128-SHA:AES256-SHA:DES-CBC3-SHA"
)
_NEVER = "!aNULL:!eNULL:!EXPORT:!DES:!RC4:!MD5:!PSK:!SRP:!aDH:!aECDH"

# openshift-routes.md 7.4. Of what they name, OpenSSL takes what it still has: mostly no triple DES.
PROFILES = {
    "modern": _MODERN,
    "intermediate": f"{_INTERMEDIATE}:!DSS",
    "old": f"{_INTERMEDIATE}:DHE-DSS-AES128-GCM-SHA256:DHE-DSS-AES128-SHA256:DHE-DSS-AES256-SHA:HIGH:SEED:{_NEVER}",
}


def cipher_list(ciphers: str) -> str:
    """What OpenSSL is told for [tls] ciphers: the list of a profile, or the operator's own."""
    return PROFILES.get(ciphers, ciphers)


def check_ciphers(text: str) -> str:
    """The name of a profile, or a list for TLS 1.2 and older; raises ValueError for a name that OpenSSL does not have."""
    if text in PROFILES:
        return text
    for word in _words(text):
        if word.startswith("TLS_"):
            raise ValueError(f'"{word}" is a suite of TLS 1.3: it belongs in ciphersuites')
        if not _knows_cipher(word):
            raise ValueError(f'"{word}" is no cipher of {_version()}, and none of {", ".join(PROFILES)}')
    if not _takes_ciphers(text):
        raise ValueError(f'"{text}" leaves no cipher')
    return text


def known_ciphers(text: str) -> str:
    """A list without the names that OpenSSL does not have: lists live longer than ciphers. Raises ValueError if none is left."""
    if text in PROFILES:
        return text
    known = [word for word in _words(text) if not word.startswith("TLS_") and _knows_cipher(word)]
    if not known or not _takes_ciphers(":".join(known)):
        raise ValueError(f'"{text}" names no cipher of {_version()}')
    return ":".join(known)


def check_suites(text: str) -> str:
    """A list of suites of TLS 1.3, parted by colons; raises ValueError."""
    for name in text.split(":"):
        if not name or not _takes("set_tls13_ciphersuites", name):
            raise ValueError(f'"{name}" is no suite of TLS 1.3 that {_version()} has')
    return text


def check_groups(text: str) -> str:
    """A list of groups for the key exchange in OpenSSL's words, parted by colons or slashes; raises ValueError."""
    for word in re.split(r"[:/]", text):
        name = word.lstrip("*-?")
        if not name or not _takes_groups(name):
            raise ValueError(f'"{word}" is no group that {_version()} has')
    if not _takes_groups(text):
        raise ValueError(f'"{text}" is no list of groups')
    return text


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[:, ]+", text) if word]


def _knows_cipher(word: str) -> bool:
    """Whether one element of a list has a meaning. What is taken away need not exist."""
    if word[0] in "!-":
        return len(word) > 1
    if word == "@STRENGTH" or re.fullmatch(r"@SECLEVEL=[0-5]", word):
        return True
    return _takes_ciphers(word.removeprefix("+"))


def _takes_ciphers(text: str) -> bool:
    return _takes("set_cipher_list", text)


def _takes(setting: str, text: str) -> bool:
    """Whether a fresh context takes a setting."""
    from OpenSSL import SSL

    setter: Callable[[bytes], None] = getattr(SSL.Context(SSL.TLS_METHOD), setting)
    try:
        setter(text.encode())
    except SSL.Error:
        return False
    return True


def _takes_groups(text: str) -> bool:
    """Whether a fresh context takes a list of groups, which pyOpenSSL has no setter for."""
    from cryptography.hazmat.bindings.openssl.binding import Binding
    from OpenSSL import SSL

    lib = Binding().lib
    taken: int = lib.SSL_CTX_set1_curves_list(SSL.Context(SSL.TLS_METHOD)._context, text.encode())
    lib.ERR_clear_error()
    return taken == 1


def _version() -> str:
    from OpenSSL import SSL

    return " ".join(SSL.OpenSSL_version(SSL.OPENSSL_VERSION).decode().split()[:2])
