"""Keyrings of 10,000 names: look-ups from Python (most of their time is the call), what a change costs, and what a certificate costs."""

import random

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import load_pem_x509_certificate

from bench.loads.certificates import Authority
from edged._fast.run.keyring import Keyring, Served
from edged._fast.run.material import Material
from edged.tls.openssl import load

NAMES = [f"h{number}.example".encode() for number in range(10_000)]


@pytest.fixture(scope="module")
def keyring():
    keyring, served = Keyring(), Served(1, 2, 0, b"", None)
    for name in [*NAMES, b"*.wild.example"]:
        keyring.put(name, served, False)
    return keyring


@pytest.mark.parametrize("name", [
    pytest.param(NAMES[777], id="exact"), pytest.param(b"a.wild.example", id="wildcard"), pytest.param(b"nobody.example", id="in-vain"),
])
def test_find(benchmark, keyring, name):
    benchmark.group = "look-up in 10000 names"
    assert (benchmark(keyring.find, name) is None) == (name == b"nobody.example")


def test_find_all(benchmark, keyring):
    """In an order that no cache knows."""
    benchmark.group = "10000 look-ups in 10000 names"
    names = random.Random(1).sample(NAMES, len(NAMES))
    assert all(benchmark(lambda: [keyring.find(name) for name in names]))


def test_one_change(benchmark, keyring):
    """A copy of all 10,000, and one name shown anew."""
    benchmark.group = "change of one in 10000 names"
    served = Served(3, 4, 0, b"", None)

    def change():
        changed = Keyring(keyring)
        changed.put(NAMES[777], served, False)
        return changed

    assert len(benchmark(change)) == len(keyring)


@pytest.mark.parametrize("key", [ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)], ids=["ecdsa", "rsa"])
def test_certificate(benchmark, key):
    benchmark.group = "a certificate and its key made ready"
    load()
    der = load_pem_x509_certificate(Authority().leaf(key, "www.example")).public_bytes(Encoding.DER)
    pkcs8 = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    benchmark(lambda: Material(der, pkcs8, None).served(b""))
