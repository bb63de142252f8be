"""Lists of revoked certificates: where they are, and which are good for anything."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from edged.tls import crl
from edged.tls.crl import BadCrl
from tests.scenarios.harness.authority import key_of
from tests.tls import lists
from tests.tls.odd import made

KEY, OTHER = key_of("ec"), key_of("ec", 1)


@pytest.mark.parametrize(("asked", "source"), [
    ({}, ""), ({"client_auth": "none", "client_ca": "/ca", "client_crl": "/crl"}, ""),
    ({"client_auth": "required", "client_ca": "/ca"}, "points:/ca"),
    ({"client_auth": "optional", "client_ca": "/ca", "client_crl": "/crl"}, "file:/crl"), ({"client_auth": "required"}, ""),
    ({"client_auth": "required", "client_crl": "/crl"}, "file:/crl"), ({"client_auth": "required", "client_ca": "/ca", "tls": False}, ""),
])
def test_where_lists_come_from(asked, source):
    assert crl.source_of(lists.listener(**asked)) == source


def test_distribution_points():
    both = [
        lists.authority("a", KEY, "http://a/1.crl", "ldap://a/x", "HTTP://a/2.crl", "https://a/3.crl"), lists.authority("b", KEY),
        lists.authority("c", KEY, "http://a/1.crl", "http://c/"),
    ]
    assert crl.points_of(both) == ("http://a/1.crl", "HTTP://a/2.crl", "http://c/")


def test_distribution_points_without_a_url():
    relative = x509.CRLDistributionPoints([
        x509.DistributionPoint(None, x509.RelativeDistinguishedName([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")]), None, None),
        x509.DistributionPoint([x509.DNSName("h")], None, None, None),
    ])
    assert crl.points_of([made("a", KEY, extensions=[(relative, False)])]) == ()


def test_too_many_distribution_points():
    urls = [f"http://a/{n}" for n in range(crl.POINTS_MOST + 1)]
    with pytest.raises(BadCrl, match="256 are the most"):
        crl.points_of([lists.authority("a", KEY, *urls)])
    assert len(crl.points_of([lists.authority("a", KEY, *urls[1:])])) == crl.POINTS_MOST


def test_a_broken_extension():
    broken = made("a", KEY, extensions=[(x509.UnrecognizedExtension(x509.ExtensionOID.CRL_DISTRIBUTION_POINTS, b"\x30\x05"), False)])
    with pytest.raises(BadCrl, match="cannot be read"):
        crl.points_of([broken])


def test_authorities():
    one = lists.authority("a", KEY)
    assert crl.authorities_of(one.public_bytes(Encoding.PEM)) == [one]
    for text in (b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        with pytest.raises(BadCrl):
            crl.authorities_of(text)


def test_lists_are_read():
    first, second = lists.crl("a", KEY, 1), lists.crl("b", OTHER)
    found, = crl.read_crls(first)
    assert (found.der, found.made_s, found.next_s) == (first, lists.START_S, lists.START_S + 86400)
    assert [one.der for one in crl.read_crls(b"words\n" + lists.as_pem(first, second) + b"more")] == [first, second]


@pytest.mark.parametrize("data", [
    b"", b"nonsense", lists.crl("a", KEY)[:-1], lists.as_pem(lists.crl("a", KEY)).replace(b"M", b"*", 1),
    b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", b"-----END X509 CRL-----",
    lists.authority("a", KEY).public_bytes(Encoding.DER),
])
def test_what_is_no_list(data):
    with pytest.raises(BadCrl):
        crl.read_crls(data)


@pytest.mark.parametrize(("extension", "why"), [
    (lists.DELTA, "is a delta"), (lists.scope(indirect_crl=True), "is indirect"), ((lists.UNKNOWN, True), "1.2.3.4"),
    (lists.scope(only_some_reasons=frozenset([x509.ReasonFlags.key_compromise])), "for some reasons"),
    (lists.scope(only_contains_attribute_certs=True), "attribute certificates"),
    ((x509.UnrecognizedExtension(x509.ExtensionOID.ISSUING_DISTRIBUTION_POINT, b"\x30\x05"), True), "broken"),
])
def test_a_list_that_would_be_left_aside_is_refused_by_name(extension, why):
    """Whom it alone revokes would be let in, beside a whole list that does not."""
    odd = lists.crl("a", KEY, 1, extensions=[extension])
    with pytest.raises(BadCrl, match=why):
        crl.read_crls(odd)
    with pytest.raises(BadCrl, match=why):
        crl.read_crls(lists.as_pem(lists.crl("a", KEY), odd))


def test_lists_that_say_where_they_apply_are_read():
    url = [x509.UniformResourceIdentifier("http://a/1.crl")]
    for extension in (
        lists.scope(full_name=url), lists.scope(only_contains_user_certs=True), lists.scope(only_contains_ca_certs=True),
        (lists.UNKNOWN, False), (x509.CRLNumber(7), False), (x509.AuthorityKeyIdentifier(b"k", None, None), True),
    ):
        assert len(crl.read_crls(lists.crl("a", KEY, 1, extensions=[extension]))) == 1


def test_signatures():
    found, = crl.read_crls(lists.crl("a", KEY, 1))
    crl.check_signature(found, [lists.authority("b", KEY), lists.authority("a", OTHER), lists.authority("a", KEY)])
    with pytest.raises(BadCrl, match="CN=a, is not among"):
        crl.check_signature(found, [lists.authority("b", KEY)])
    for authority in (lists.authority("a", OTHER), lists.authority("a", key_of("rsa"))):
        with pytest.raises(BadCrl, match="CN=a has not signed it"):
            crl.check_signature(found, [authority])
