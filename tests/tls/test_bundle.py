"""Bundles as HAProxy's `crt` has them, and what lies beside them."""

import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from edged.tls.bundle import BadBundle, bundle_of, read_bundle
from tests.scenarios.harness.authority import key_of
from tests.tls.odd import answer, key_pem, made, pem, weakly_signed


@pytest.fixture(scope="module")
def one(authority):
    return authority.issue("one.example", ["one.example"])


@pytest.fixture(scope="module")
def other(authority):
    return authority.issue("other.example", sort="rsa")


@pytest.fixture
def put(tmp_path):
    """Writes files; answers the path of the first."""

    def go(**texts):
        for name, text in texts.items():
            path = tmp_path / name.replace("__", ".")
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(tmp_path / next(iter(texts)).replace("__", "."))

    return go


def refusal(path, passphrase=None):
    with pytest.raises(BadBundle) as caught:
        read_bundle(path, passphrase)
    return str(caught.value.problem)


def ders(*certificates):
    return tuple(one.public_bytes(Encoding.DER) for one in certificates)


@pytest.mark.parametrize("order", ["key first", "key last", "key between"])
def test_a_bundle_in_any_order(put, one, order):
    text = {"key first": one.bundle, "key last": one.chain_pem + one.key_pem, "key between": one.pem + one.key_pem + one.between_pem}[order]
    path = put(one__pem=text)
    bundle = read_bundle(path, None)
    assert bundle.certificate.chain == ders(one.certificate, *one.between)
    assert bundle.names == ("one.example",)
    assert bundle.certificate.origin.where == path
    assert text.splitlines()[bundle.certificate.origin.line - 1] == "-----BEGIN CERTIFICATE-----"
    assert bundle.begins_s < time.time() < bundle.ends_s
    assert bundle.problem is None


def test_the_same_certificate_has_the_same_id_wherever_it_is_from(put, one):
    first = read_bundle(put(a__pem=one.bundle), None)
    assert first.certificate == read_bundle(put(b__pem=one.chain_pem + key_pem(one.key, "old")), None).certificate
    assert first.certificate == bundle_of("X", one.bundle, None).certificate


@pytest.mark.parametrize("names", [("one__pem", "one__key"), ("one__pem", "one__pem__key"), ("one__crt", "one__key"), ("one", "one__key")])
def test_the_key_may_lie_beside(put, one, names):
    path = put(**{names[0]: one.chain_pem, names[1]: one.key_pem})
    assert read_bundle(path, None).names == ("one.example",)


def test_a_key_in_the_bundle_is_stronger_than_one_beside(put, one, other):
    assert read_bundle(put(one__pem=one.bundle, one__key=other.key_pem), None)


def test_the_issuer_beside_completes_the_chain(put, authority, one):
    intermediate, root = authority.intermediate, authority.root
    path = put(one__pem=one.pem + one.key_pem, one__pem__issuer=intermediate.pem + root.pem)
    assert read_bundle(path, None).certificate.chain == ders(one.certificate, intermediate.certificate)      # a root is not sent
    path = put(two__pem=one.chain_pem + one.key_pem, two__issuer=root.pem + intermediate.pem)
    assert read_bundle(path, None).certificate.chain == ders(one.certificate, intermediate.certificate)


def test_an_encrypted_key(put, one):
    path = put(one__pem=one.chain_pem, one__key=one.locked_key_pem("sesame"))
    assert read_bundle(path, b"sesame").names == ("one.example",)
    assert refusal(path, b"simsim").endswith("one.key:1: the passphrase does not open this key")
    assert refusal(path).endswith("key_passphrase_env has to open it")


def test_what_is_wrong_is_told_with_file_and_line(put, one, other, tmp_path):
    lines = one.chain_pem.count("\n")
    assert refusal(put(a__pem=one.chain_pem)) == f"{tmp_path}/a.pem: there is no private key in it, and none beside it"
    assert refusal(put(b__pem=one.key_pem)) == f"{tmp_path}/b.pem: there is no certificate in it"
    assert refusal(put(c__pem=one.chain_pem + other.key_pem)) == f"{tmp_path}/c.pem:{lines + 1}: this is not the key of the certificate"
    assert refusal(put(d__pem=one.chain_pem, d__key="\n" + other.key_pem)) == f"{tmp_path}/d.key:2: this is not the key of the certificate"
    assert refusal(put(e__pem="\n" + one.bundle.replace("-----END", "END", 1))) == f'{tmp_path}/e.pem:2: "BEGIN PRIVATE KEY" has no END'
    assert refusal(put(f__pem=one.bundle[:-60])).startswith(f"{tmp_path}/f.pem:")
    assert refusal(str(tmp_path / "gone.pem")) == f"{tmp_path}/gone.pem: cannot be read: No such file or directory"
    assert refusal(str(tmp_path)) == f"{tmp_path}: cannot be read: Is a directory"
    assert refusal(put(g__pem=ders(one.certificate)[0])) == f"{tmp_path}/g.pem: this is no PEM: it is DER, as it seems"
    assert "larger than" in refusal(put(h__pem=b"x" * (1 << 20) + b"x"))


def test_weak_ones_are_refused(put, authority, tmp_path):
    weak = authority.issue("weak", sort="rsa1024")
    assert refusal(put(a__pem=weak.bundle)) == f"{tmp_path}/a.pem:17: an RSA key of 1024 bits: 2048 to 8192 can be used"
    key = key_of("rsa")
    leaf, above = made("leaf", key, "root", key_of("rsa", 7)), weakly_signed(made("root", key_of("rsa", 7), "top", key), "SHA-1")
    line = (pem(leaf) + key_pem(key)).count("\n") + 1
    assert refusal(put(b__pem=pem(leaf) + key_pem(key) + pem(above))) == f"{tmp_path}/b.pem:{line}: signed with SHA-1 by a CA"


def test_ed25519_is_good_for_the_operator(put, authority):
    assert read_bundle(put(a__pem=authority.issue("x.example", sort="ed25519").bundle), None).names == ("x.example",)


@pytest.mark.parametrize(("common_name", "names", "shown"), [
    ("a.example", [], ("a.example",)), ("a.example", ["b.example", "*.c.example"], ("b.example", "*.c.example", "a.example")),
    ("A.Example", ["B.EXAMPLE", "b.example."], ("b.example", "a.example")), ("An authority of ours", ["a.example"], ("a.example",)),
    ("10.0.0.1", [], ()), ("*", [], ()), ("a.*.example", ["*.*.example", "x*.example"], ()), ("localhost", [], ("localhost",)),
    ("x" * 64, ["y" * 64 + ".example", "a..example", ".example", "a b.example"], ()),
    ("xn--bcher-kva.example", [], ("xn--bcher-kva.example",)),
    ("_dmarc.example", [], ("_dmarc.example",)), ("a\n.example", ["a.example\0"], ()),
])
def test_names(common_name, names, shown):
    key = key_of("ec")
    own = made(common_name, key, names=names)
    assert bundle_of("X", pem(own) + key_pem(key), None).names == shown


def test_addresses_are_no_names(authority):
    assert bundle_of("X", authority.issue("10.0.0.1", ["10.0.0.1", "::1", "a.example"]).bundle, None).names == ("a.example",)


# ---- OCSP


@pytest.mark.parametrize("name", ["one__ocsp", "one__pem__ocsp"])
@pytest.mark.parametrize("algorithm", [hashes.SHA1(), hashes.SHA256()])
def test_an_answer_to_staple(put, authority, one, name, algorithm):
    given = answer(one, authority.intermediate, algorithm=algorithm)
    bundle = read_bundle(put(one__pem=one.bundle, **{name: given}), None)
    assert bundle.problem is None
    assert bundle.certificate.ocsp == given
    assert abs(bundle.again_s - time.time() - 3 * 86400) < 60


def test_bad_news_are_stapled_too(put, authority, one):
    given = answer(one, authority.intermediate, status=ocsp.OCSPCertStatus.REVOKED)
    bundle = read_bundle(put(one__pem=one.bundle, one__ocsp=given), None)
    assert bundle.certificate.ocsp == given
    assert "one.ocsp: by this OCSP answer the certificate was revoked" in str(bundle.problem)


def test_without_the_issuer_its_key_is_not_asked_for(put, authority, one):
    given = answer(one, authority.intermediate)
    assert read_bundle(put(one__pem=one.pem + one.key_pem, one__ocsp=given), None).certificate.ocsp == given


def test_answers_that_are_not_shown(put, authority, one, other, tmp_path):
    """The certificate is, all the same."""
    for given, why in [
        (b"x", "it does not parse"), (b"", "it does not parse"),
        (ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER).public_bytes(Encoding.DER), "an error"),
        (answer(other, authority.intermediate), "it is about another certificate"),
        (answer(one, authority.root), "it is about a certificate of another authority"),
        (answer(one, authority.intermediate, status=ocsp.OCSPCertStatus.UNKNOWN), "its authority does not know the certificate"),
        (answer(one, authority.intermediate, days=(-3, -1)), "its time is over"),
    ]:
        bundle = read_bundle(put(one__pem=one.bundle, one__ocsp=given), None)
        assert bundle.certificate.ocsp == b""
        assert str(bundle.problem).startswith(f"{tmp_path}/one.ocsp: this OCSP answer is not shown: ")
        assert why in str(bundle.problem)
        assert bundle.names == ("one.example",)
        assert bundle.again_s == float("inf")


def test_an_answer_by_the_key_of_another_authority_of_that_name(put, authority, one):
    key = key_of("ec", 77)
    impostor = type(one)(made(authority.intermediate.name, key), key)
    bundle = read_bundle(put(one__pem=one.bundle, one__ocsp=answer(one, impostor)), None)
    assert "another authority" in str(bundle.problem)


def test_one_that_is_not_valid_yet_is_read_again_when_it_is():
    key = key_of("ec")
    own = made("a.example", key, days=(2, 9))
    bundle = bundle_of("X", pem(own) + key_pem(key), None)
    assert bundle.again_s == bundle.begins_s == own.not_valid_before_utc.timestamp()


def test_nothing_that_is_shown_holds_the_key(one):
    bundle = bundle_of("X", one.bundle, None)
    secret = one.key_pem.split("\n")[1]
    assert secret not in repr(bundle)
    assert repr(bundle.certificate.key)[2:20] not in repr(bundle)


def test_an_extension_that_does_not_parse_is_no_name():
    key = key_of("ec")
    broken = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, b"\x30\x03\x82\x05a")
    assert bundle_of("X", pem(made("a.example", key, extensions=[(broken, False)])) + key_pem(key), None).names == ("a.example",)
