"""Every row of openshift-routes.md 2.2."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_der_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from edged.tls.verify import BadCertificate, authorities, key_type, route_certificate
from tests.scenarios.harness.authority import Authority, key_of
from tests.tls.odd import SHA256, authority_extensions, key_pem, made, pem, public_pem, signed_by, weakly_signed


@pytest.fixture(scope="module")
def one(authority):
    return authority.issue("one.example", ["one.example"])


@pytest.fixture(scope="module")
def root():
    return made("root", key_of("rsa", 7), extensions=authority_extensions(key_of("rsa", 7)))


def der(*certificates):
    return tuple(one.public_bytes(Encoding.DER) for one in certificates)


def below(root, sort="rsa", **words):
    """A certificate that the root has signed."""
    return made("leaf", key_of(sort), "root", key_of("rsa", 7), **words)


def judged(certificate="", key="", ca="", *, extended=True):
    """What is wrong, field by field; [] if nothing is."""
    try:
        route_certificate(certificate, key, ca, extended=extended)
    except BadCertificate as why:
        return list(why.wrongs)
    return []


def test_what_is_shown_is_the_certificate_then_the_authorities(authority, one):
    chain, key = route_certificate(one.pem, one.key_pem, authority.intermediate.pem + authority.pem, extended=True)
    assert chain == der(one.certificate, authority.intermediate.certificate, authority.root.certificate)
    assert load_der_private_key(key, None).private_numbers() == one.key.private_numbers()


def test_what_comes_twice_is_shown_once(authority, one):
    chain, _ = route_certificate(one.chain_pem, one.key_pem, authority.intermediate.pem, extended=True)
    assert chain == der(one.certificate, authority.intermediate.certificate)


def test_no_material_at_all_is_fine():
    assert route_certificate("", "", "", extended=True) is None


def test_a_key_without_a_certificate_is_not_used(one, authority):
    assert route_certificate("", one.key_pem, "", extended=True) is None
    assert route_certificate("", one.key_pem, authority.pem, extended=True) is None


def test_a_certificate_without_a_key_is_an_error(one):
    assert judged(one.chain_pem) == [("key", "there is no private key for the certificate")]


@pytest.mark.parametrize("sort", ["ec", "ec384", "rsa"])
def test_sorts_of_keys_and_where_they_may_stand(authority, sort):
    one = authority.issue("x", sort=sort)
    expected = route_certificate(one.chain_pem, one.key_pem, "", extended=True)
    assert expected is not None
    assert route_certificate(one.chain_pem + key_pem(one.key, "old"), "", "", extended=True) == expected
    assert route_certificate(one.key_pem + one.chain_pem, "", "", extended=True) == expected


def test_keys_in_the_certificate_come_first(authority, one):
    other = authority.issue("other", sort="rsa")
    assert judged(one.chain_pem + one.key_pem, other.key_pem) == []
    assert judged(one.chain_pem + other.key_pem, one.key_pem) == [("key", "this is not the key of the certificate")]
    assert judged(one.chain_pem, one.key_pem + other.key_pem) == []


def test_the_first_certificate_must_be_that_of_the_key(authority, one):
    assert judged(authority.intermediate.pem + one.pem, one.key_pem) == [("key", "this is not the key of the certificate")]
    other = authority.issue("other", sort="ec", number=5)
    assert judged(one.pem, other.key_pem) == [("key", "this is not the key of the certificate")]


def test_other_sorts_of_keys_are_refused(authority):
    one = authority.issue("x", sort="ed25519")
    assert judged(one.chain_pem, one.key_pem) == [("certificate", "its key is Ed25519: RSA and ECDSA can be used")]


def test_every_field_is_judged_at_once():
    broken = "-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----\n"
    assert judged(broken, broken.replace("CERTIFICATE", "PRIVATE KEY"), broken.replace("CERTIFICATE", "X509 CRL")) == [
        ("certificate", "line 1: this certificate does not parse"), ("key", "line 1: this private key does not parse"),
        ("caCertificate", 'line 1: "BEGIN X509 CRL" is neither a certificate nor a key that can be used'),
        ("certificate", "there is no certificate in it"), ("caCertificate", "there is no certificate in it"),
    ]


@pytest.mark.parametrize("text", ["x", "-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----", "-----BEGIN CERTIFICATE-----\nAAEC"])
def test_text_that_is_no_pem_is_dropped(one, text):
    assert judged(text, one.key_pem) == [("certificate", "there is no certificate in it")]
    assert judged(one.chain_pem, one.key_pem, text) == [("caCertificate", "there is no certificate in it")]
    assert judged(f"{text}\n{one.chain_pem}", f"{text}\n{one.key_pem}") == []
    assert judged(one.chain_pem, text) == [("key", "there is no private key for the certificate")]


def test_the_key_field_holds_keys_alone(one):
    line = one.key_pem.count("\n") + 1
    assert judged(one.chain_pem, one.key_pem + one.pem) == [("key", f"line {line}: only private keys have a place here")]
    assert judged(one.chain_pem, public_pem(one.key) + one.key_pem) == [("key", "line 1: only private keys have a place here")]


def test_the_certificate_field_holds_no_public_key(one):
    text = public_pem(one.key) + one.chain_pem
    assert judged(text, one.key_pem) == [("certificate", "line 1: a public key has no place here")]


def test_parameters_before_a_key_are_dropped(one):
    parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    assert judged(one.chain_pem, parameters + key_pem(one.key, "old")) == []


def test_encrypted_keys_are_refused(one):
    assert judged(one.chain_pem, one.locked_key_pem("x")) == [("key", "line 1: this key is encrypted: nobody here could open it")]


# ---- caCertificate


def test_the_first_certificate_must_lead_to_the_authorities(authority, one):
    strange = Authority("strange")
    assert judged(one.pem, one.key_pem, authority.intermediate.pem) == []                # a root it need not be
    assert judged(one.pem, one.key_pem, strange.pem + authority.intermediate.pem) == []
    for ca in (strange.pem, authority.pem):
        ((field, message),) = judged(one.pem, one.key_pem, ca)
        assert field == "certificate"
        assert message.startswith("caCertificate does not lead to it: ")


def test_further_certificates_do_not_help(authority, one):
    assert judged(one.chain_pem, one.key_pem, authority.pem)[0][0] == "certificate"


def test_without_extended_validation_nobody_asks_for_the_issuer(one):
    assert judged(one.pem, one.key_pem, Authority("strange").pem, extended=False) == []


def test_a_self_signed_one_may_be_its_own_authority():
    key = key_of("ec")
    own = made("own", key)
    assert judged(pem(own), key_pem(key), pem(own)) == []


def test_host_names_do_not_matter(root):
    assert judged(pem(below(root)), key_pem(key_of("rsa")), pem(root)) == []


@pytest.mark.parametrize(("days", "why"), [((-9, -1), "expired"), ((1, 9), "not yet valid")])
def test_times_do_not_matter(root, days, why):
    """Nor does, for whoever is out of his time, who signed him: the quirk of expiry."""
    leaf = below(root, days=days)
    assert judged(pem(leaf), key_pem(key_of("rsa")), pem(root)) == []
    assert judged(pem(leaf), key_pem(key_of("rsa")), Authority("strange").pem) == []


def test_an_expired_authority_is_one(root):
    old = made("root", key_of("rsa", 7), days=(-9, -1), extensions=authority_extensions(key_of("rsa", 7)))
    assert judged(pem(below(root)), key_pem(key_of("rsa")), pem(old)) == []


def test_who_may_not_sign_is_no_authority(root):
    for extensions in ([], [(x509.BasicConstraints(False, None), True)]):
        clerk = made("root", key_of("rsa", 7), extensions=extensions)
        assert judged(pem(below(root)), key_pem(key_of("rsa")), pem(clerk))[0][0] == "certificate"


@pytest.mark.parametrize(("usages", "good"), [
    ([ExtendedKeyUsageOID.SERVER_AUTH], True), ([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE], True),
    ([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH], True), ([ExtendedKeyUsageOID.CLIENT_AUTH], False),
    ([ExtendedKeyUsageOID.OCSP_SIGNING], False),
])
def test_what_a_certificate_is_meant_for(root, usages, good):
    leaf = below(root, extensions=[(x509.ExtendedKeyUsage(usages), False)])
    found = judged(pem(leaf), key_pem(key_of("rsa")), pem(root))
    assert found == ([] if good else [("certificate", "it is not meant for servers (its extended key usage)")])
    assert judged(pem(leaf), key_pem(key_of("rsa"))) == []       # only the chain check asks


def test_what_an_authority_is_meant_for(root):
    for usage, good in ((ExtendedKeyUsageOID.SERVER_AUTH, True), (ExtendedKeyUsageOID.CLIENT_AUTH, False)):
        ca = made("root", key_of("rsa", 7), extensions=[*authority_extensions(key_of("rsa", 7)), (x509.ExtendedKeyUsage([usage]), False)])
        assert (judged(pem(below(root)), key_pem(key_of("rsa")), pem(ca)) == []) is good


# ---- weakness


@pytest.mark.parametrize("digest", ["MD2", "MD5", "SHA-1"])
@pytest.mark.parametrize("field", ["certificate", "caCertificate", "destinationCACertificate"])
def test_weak_signatures_of_authorities_are_refused(root, digest, field):
    weak = weakly_signed(below(root), digest)
    if field == "certificate":
        found = judged(pem(weak), key_pem(key_of("rsa")))
    elif field == "caCertificate":
        found = judged(pem(below(root)), key_pem(key_of("rsa")), pem(root, weak))
    else:
        with pytest.raises(BadCertificate) as caught:
            authorities(pem(root, weak))
        found = list(caught.value.wrongs)
    line = pem(root).count("\n") + 1 if field != "certificate" else 1
    assert found == [(field, f"line {line}: signed with {digest} by a CA")]


def test_a_weak_one_further_down_is_refused_too(root):
    leaf, weak = below(root), weakly_signed(below(root, sort="rsa"), "SHA-1")
    line = pem(leaf).count("\n") + 1
    assert judged(pem(leaf, weak), key_pem(key_of("rsa"))) == [("certificate", f"line {line}: signed with SHA-1 by a CA")]


def test_ecdsa_with_sha1_is_as_weak():
    weak = weakly_signed(made("leaf", key_of("ec"), "root", key_of("ec", 1)), "SHA-1")
    assert judged(pem(weak), key_pem(key_of("ec"))) == [("certificate", "line 1: signed with SHA-1 by a CA")]


@pytest.mark.parametrize(("extensions", "good"), [
    ([], True),                                                                                          # no authority's key id
    (["subject"], True), (["subject", "authority"], True), (["authority"], False), (["subject", "other"], False), (["other"], False),
])
@pytest.mark.parametrize("digest", ["MD5", "SHA-1"])
def test_weak_signatures_of_its_own_are_accepted(extensions, good, digest):
    key = key_of("rsa")
    made_of = {
        "subject": (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False), "authority": signed_by(key),
        "other": signed_by(key_of("rsa", 7)),
    }
    own = weakly_signed(made("own", key, extensions=[made_of[word] for word in extensions]), digest)
    assert (judged(pem(own), key_pem(key)) == []) is good


def test_a_name_of_its_own_under_another_key_id_is_that_of_an_authority(root):
    leaf = weakly_signed(made("root", key_of("rsa"), "root", key_of("rsa", 7)), "SHA-1")
    assert judged(pem(leaf), key_pem(key_of("rsa"))) == []       # by its names it signed itself


@pytest.mark.parametrize("extended", [True, False])
def test_keys_that_are_too_short_or_too_long_are_refused(extended):
    for bits in (1024, 2047, 8676):
        key = _rsa(bits)
        told = judged(pem(made("own", key)), key_pem(key), extended=extended)
        assert told == [("certificate", f"line 1: an RSA key of {bits} bits: 2048 to 8192 can be used")]
    key = ec.generate_private_key(ec.SECP192R1())
    told = judged(pem(made("own", key)), key_pem(key), extended=extended)
    assert told == [("certificate", "line 1: a key on secp192r1: 224 bits are the least")]


def _rsa(bits):
    """A key of so many bits; a large one of two primes that everybody knows, as it would take long to find others."""
    if bits < 4096:
        return rsa.generate_private_key(65537, bits)
    p, q = 2**4423 - 1, 2**4253 - 1
    d = pow(65537, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(65537, p * q)
    numbers = rsa.RSAPrivateNumbers(p, q, d, rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q), public)
    return numbers.private_key(unsafe_skip_rsa_key_validation=True)


# ---- destinationCACertificate


def test_authorities(authority):
    both = authority.root.certificate, authority.intermediate.certificate
    assert authorities(f"text\n{authority.pem}{authority.intermediate.pem}") == der(*both)


def test_weak_authorities_are_refused_by_extended_validation_alone(root):
    weak = weakly_signed(below(root), "SHA-1")
    assert authorities(pem(weak), extended=False) == der(weak)


@pytest.mark.parametrize("text", ["x", "-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----"])
def test_there_must_be_some(text):
    with pytest.raises(BadCertificate) as caught:
        authorities(text)
    assert caught.value.wrongs == (("destinationCACertificate", "there is no certificate in it"),)


def test_authorities_that_do_not_parse():
    with pytest.raises(BadCertificate, match="destinationCACertificate: line 1: this certificate does not parse"):
        authorities("-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----")


def test_no_key_is_in_what_is_raised(one):
    body = one.key_pem.split("\n")[1]
    with pytest.raises(BadCertificate) as caught:
        route_certificate(one.chain_pem, one.key_pem.replace(body, body[::-1]), "", extended=True)
    assert body not in str(caught.value) + repr(caught.value)
    assert caught.value.field == "key"
    assert caught.value.message in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(("sort", "told"), [("rsa", "RSA 2048"), ("ec384", "ECDSA secp384r1"), ("ed25519", "Ed25519")])
def test_names_of_keys(sort, told):
    assert key_type(made("x", key_of(sort), digest=None if sort == "ed25519" else SHA256)) == told
