"""What workers could not use is found before it goes to them."""

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from edged.model.certificate import Certificate, Trust
from edged.tls import openssl, trial
from tests.scenarios.harness.authority import Authority, key_of

AUTHORITY = Authority("trial")
LEAF = AUTHORITY.issue("leaf", number=1).der
ISSUER = AUTHORITY.intermediate.der
KEY, OTHER_KEY = (key_of("ec", number).private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()) for number in (1, 2))


@pytest.mark.parametrize("chain", [(LEAF,), (LEAF, ISSUER), (LEAF, ISSUER, AUTHORITY.root.der)])
def test_a_certificate_that_is_as_it_should_be(chain):
    assert trial.certificate_fault(Certificate.of(chain, KEY)) == ""
    assert trial.certificate_fault(Certificate.of(chain, KEY, b"staple")) == ""


@pytest.mark.parametrize(("chain", "key", "why"), [
    ((LEAF,), OTHER_KEY, "the key is not that of the certificate"), ((LEAF,), b"key", "no private key"),
    ((b"leaf",), KEY, "no certificate"),
    ((LEAF, b"issuer"), KEY, "no certificate"), ((LEAF + b"more",), KEY, "something follows"), ((LEAF[:-1],), KEY, "no certificate"),
])
def test_certificates_that_workers_could_not_use(chain, key, why):
    for _ in range(2):                           # asked again, it is no better
        assert why in trial.certificate_fault(Certificate.of(chain, key))


def test_whom_endpoints_are_believed():
    for authorities in ((), (AUTHORITY.root.der,), (AUTHORITY.root.der, ISSUER, AUTHORITY.root.der)):
        assert trial.trust_fault(Trust.of(authorities, bool(authorities))) == ""
    assert "an authority is no certificate" in trial.trust_fault(Trust.of((ISSUER, b"ca")))


def test_what_was_found_good_is_not_tried_again(monkeypatch):
    good = Certificate.of((LEAF,), KEY, b"once")
    assert trial.certificate_fault(good) == ""
    monkeypatch.setattr(trial, "Material", None)
    assert trial.certificate_fault(good) == ""


def test_without_the_library_nothing_is_tried(monkeypatch):
    def none():
        raise openssl.NoOpenSSL("nowhere")

    monkeypatch.setattr(openssl, "load", none)
    assert trial.certificate_fault(Certificate.of((b"leaf",), b"key")) == ""
