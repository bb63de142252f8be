"""Where OpenSSL's functions are: the private names that the engine rests on, and what is said when they are gone."""

import ctypes
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.bindings import _rust
from OpenSSL import SSL, crypto

from edged._fast.base import openssl as functions
from edged.tls import openssl


def test_every_function_is_found():
    found = openssl.find(functions.NAMES)
    assert found.keys() == set(functions.NAMES)
    assert len(set(found.values())) == len(functions.NAMES)
    openssl.load()


def test_an_address_is_that_of_its_function():
    found = openssl.find(["OpenSSL_version_num"])
    assert ctypes.CFUNCTYPE(ctypes.c_ulong)(found["OpenSSL_version_num"])() == _rust._openssl.lib.OpenSSL_version_num()


def test_header_and_names_are_in_one_order():
    source = Path(__file__).resolve().parents[2] / "edged" / "_fast" / "base" / "openssl.pxd"
    struct = source.read_text().split("cdef struct OpenSSL:")[1].split("\ncdef OpenSSL openssl")[0]
    assert tuple(re.findall(r"\(\*(\w+)\)\(", struct)) == functions.NAMES


def test_what_is_missing_is_named():
    with pytest.raises(openssl.NoOpenSSL, match=r"does not show SSL_no_such_thing, SSL_nor_this: install"):
        openssl.find(["SSL_read", "SSL_nor_this", "SSL_no_such_thing"])
    with pytest.raises(KeyError):
        functions.install({})


def test_a_library_without_its_table_says_so(tmp_path, monkeypatch):
    stripped = tmp_path / "stripped.so"
    subprocess.run(["strip", "-o", stripped, _rust.__file__], check=True)
    monkeypatch.setattr(openssl, "_rust", type("Stripped", (), {"__file__": str(stripped)}))
    with pytest.raises(openssl.NoOpenSSL, match="does not show"):
        openssl.find(["SSL_CTX_ctrl"])


def test_a_file_that_was_not_loaded_is_not_believed(tmp_path, monkeypatch):
    other = tmp_path / "other.so"
    shutil.copy(functions.__file__, other)
    monkeypatch.setattr(openssl, "_rust", type("Other", (), {"__file__": str(other)}))
    with pytest.raises(openssl.NoOpenSSL):
        openssl.find(["SSL_CTX_ctrl"])


def test_addresses_of_objects():
    context, certificate, key = SSL.Context(SSL.TLS_METHOD), crypto.X509(), crypto.PKey()
    assert len({openssl.context_address(context), openssl.certificate_address(certificate), openssl.key_address(key), 0}) == 4
    assert openssl.version().startswith("OpenSSL ")
