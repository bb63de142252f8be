"""What contexts allow, found out by handshakes."""

import ssl
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL, crypto

from edged.tls import system
from edged.tls.contexts import ContextError, client_context, server_context
from edged.tls.crl import read_crls
from tests.tls.lists import scope as about
from tests.tls.talk import LISTENER, OpenSSLSide, PythonSide, Refused, python_client, python_server, shake, table

V10, V11, V12, V13 = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
NAMES = {V10: "TLSv1", V11: "TLSv1.1", V12: "TLSv1.2", V13: "TLSv1.3"}
EASY = "DEFAULT:@SECLEVEL=0"

pytestmark = pytest.mark.filterwarnings("ignore:ssl.TLSVersion")     # the old ones are what is tested


def meet(client, certified, listener=LISTENER, crls=None, **words):
    """A client of Python's and a listener's context; answers the client's side, in peace."""
    side = PythonSide(client)
    shake(OpenSSLSide(server_context(table(**words), listener, crls), certified=certified), side)
    return side.object


def same_library(certified, words=(), client=()):
    """Both sides are the library under test: it knows more than Python's."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    for setter, value in client:
        getattr(context, setter)(value)
    server = OpenSSLSide(server_context(table(**dict(words)), LISTENER), certified=certified)
    side = OpenSSLSide(context)
    shake(server, side)
    return side.connection


@pytest.mark.parametrize(
    ("words", "version", "good"),
    [
        ({}, V11, False), ({}, V12, True), ({}, V13, True),
        ({"min_version": "TLSv1.0"}, V10, True), ({"min_version": "TLSv1.0"}, V11, True), ({"min_version": "TLSv1.1"}, V10, False),
        ({"min_version": "TLSv1.1"}, V11, True), ({"min_version": "TLSv1.3"}, V12, False), ({"min_version": "TLSv1.3"}, V13, True),
        ({"max_version": "TLSv1.2"}, V13, False), ({"max_version": "TLSv1.2"}, V12, True),
        ({"min_version": "TLSv1.0", "ciphers": "AES128-SHA:ECDHE-ECDSA-AES128-SHA"}, V10, True),
    ],
)
def test_versions(site, words, version, good):
    client = python_client(version=version, ciphers=EASY)
    if good:
        assert meet(client, site, **words).version() == NAMES[version]
    else:
        with pytest.raises(Refused):
            meet(client, site, **words)


@pytest.mark.parametrize(
    ("profile", "cipher", "good"),
    [
        ("modern", "ECDHE-RSA-AES128-GCM-SHA256", True), ("modern", "ECDHE-RSA-AES128-SHA", False), ("modern", "AES128-GCM-SHA256", False),
        ("modern", "DHE-RSA-AES128-GCM-SHA256", False), ("intermediate", "ECDHE-RSA-AES128-SHA", True),
        ("intermediate", "AES128-SHA", True), ("intermediate", "DHE-RSA-AES128-GCM-SHA256", True),
        ("intermediate", "CAMELLIA128-SHA", False),
        ("old", "CAMELLIA128-SHA", True), ("old", "DHE-RSA-AES256-SHA", True), ("old", "AECDH-AES128-SHA", False),
        ("ECDHE-RSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305", True),
        ("ECDHE-RSA-CHACHA20-POLY1305", "ECDHE-RSA-AES128-GCM-SHA256", False),
    ],
)
def test_ciphers_of_profiles_and_lists(rsa_site, profile, cipher, good):
    client = python_client(version=V12, ciphers=f"{cipher}:@SECLEVEL=0")
    if good:
        assert meet(client, rsa_site, ciphers=profile).cipher()[0] == cipher
    else:
        with pytest.raises(Refused):
            meet(client, rsa_site, ciphers=profile)


@pytest.mark.parametrize(("profile", "level", "good"), [("intermediate", 2, True), ("old", 2, False), ("old", 1, True)])
def test_the_profile_old_stands_for_groups_of_1024_bits(rsa_site, profile, level, good):
    client = python_client(version=V12, ciphers=f"DHE-RSA-AES128-GCM-SHA256:@SECLEVEL={level}")
    if good:
        meet(client, rsa_site, ciphers=profile)
    else:
        with pytest.raises(Refused, match="dh key too small"):
            meet(client, rsa_site, ciphers=profile)


def test_the_order_of_the_list_decides(site):
    words = "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256"
    client = python_client(version=V12, ciphers=":".join(words))
    for chosen in words:
        rest = [word for word in words if word != chosen]
        assert meet(client, site, ciphers=":".join([chosen, *rest])).cipher()[0] == chosen


def test_suites_of_tls_1_3(site):
    assert meet(python_client(version=V13), site, ciphersuites="TLS_AES_128_GCM_SHA256").cipher()[0] == "TLS_AES_128_GCM_SHA256"


def test_who_prefers_chacha_gets_it(site):
    """Phones compute AES slowly."""
    phone = [("set_tls13_ciphersuites", b"TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384")]
    desk = [("set_tls13_ciphersuites", b"TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256")]
    assert same_library(site, client=phone).get_cipher_name() == "TLS_CHACHA20_POLY1305_SHA256"
    assert same_library(site, client=desk).get_cipher_name() == "TLS_AES_256_GCM_SHA384"


def test_groups(site):
    assert same_library(site).get_group_name() == "X25519MLKEM768"
    assert same_library(site, {"curves": "P-384"}).get_group_name() == "secp384r1"
    with pytest.raises(ContextError, match="curves"):
        server_context(table(curves="P-1"), LISTENER)


@pytest.mark.parametrize("words", [{"ciphers": "nothing-like-it"}, {"ciphersuites": "TLS_NONE"}])
def test_what_openssl_refuses_is_told(words):
    with pytest.raises(ContextError, match=r"\[tls\]: OpenSSL refuses .*: "):
        server_context(table(**words), LISTENER)


def test_nobody_renegotiates(site):
    server = OpenSSLSide(server_context(table(max_version="TLSv1.2"), LISTENER), certified=site)
    client = OpenSSLSide(SSL.Context(SSL.TLS_CLIENT_METHOD))
    shake(server, client)
    client.connection.renegotiate()
    client.step()
    server.give(client.take())
    assert server.read() == b""
    client.give(server.take())
    with pytest.raises(SSL.Error, match="no renegotiation"):
        client.step()
    assert server.connection.total_renegotiations() == 0


# clients that show who they are

@pytest.fixture(scope="module")
def folder(tmp_path_factory, authority, other):
    folder = tmp_path_factory.mktemp("clients")
    (folder / "ca.pem").write_text(authority.pem)
    (folder / "between.pem").write_text(authority.intermediate.pem)
    (folder / "whole.pem").write_text(authority.pem + authority.intermediate.pem)
    (folder / "both.pem").write_text("for the two of us\n" + other.pem + authority.pem)
    (folder / "none.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    (folder / "empty.pem").write_text("")
    return folder


def asking(folder, auth="required", ca="ca.pem"):
    return replace(LISTENER, client_auth=auth, client_ca=ca and str(folder / ca))


def lists(pem):
    return [one.der for one in read_crls(pem.encode())]


@pytest.mark.parametrize(
    ("auth", "who", "good"),
    [
        ("none", "nobody", True), ("none", "ann", True), ("none", "eve", True),
        ("optional", "nobody", True), ("optional", "ann", True), ("optional", "eve", False),
        ("required", "nobody", False), ("required", "ann", True), ("required", "eve", False),
    ],
)
@pytest.mark.parametrize("version", [V12, V13])
def test_client_certificates(folder, authority, other, site, auth, who, good, version):
    certified = {"ann": authority.issue("ann", client=True), "eve": other.issue("eve", client=True), "nobody": None}[who]
    client = python_client(certified=certified, version=version)
    if good:
        meet(client, site, asking(folder, auth))
    else:
        with pytest.raises(Refused):
            meet(client, site, asking(folder, auth))


def test_a_certificate_for_servers_is_none_for_clients(folder, authority, site):
    with pytest.raises(Refused):
        meet(python_client(certified=authority.issue("ann")), site, asking(folder))


@pytest.mark.parametrize("ca", ["between.pem", "both.pem"])
def test_authorities_for_clients(folder, authority, site, ca):
    meet(python_client(certified=authority.issue("ann", client=True)), site, asking(folder, ca=ca))


def test_clients_are_told_which_authorities_count(folder, authority, other, site):
    client = OpenSSLSide(SSL.Context(SSL.TLS_CLIENT_METHOD))
    shake(OpenSSLSide(server_context(table(), asking(folder, "optional", "both.pem")), certified=site), client)
    assert [name.CN for name in client.connection.get_client_ca_list()] == ["other", "root"]


@pytest.fixture
def unnamed(monkeypatch):
    """The environment of these tests names no authorities of the system."""
    for variable in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.usefixtures("unnamed")
def test_without_authorities_of_its_own_those_of_the_system_count(folder, authority, other, site, monkeypatch):
    ann = authority.issue("ann", client=True)
    for pem, good in ((authority.pem, True), (other.pem, False)):
        (folder / "system.pem").write_text(pem)
        monkeypatch.setattr(system, "FILES", (str(folder / "none"), str(folder / "system.pem"), str(folder / "both.pem")))
        assert enters(site, asking(folder, ca=""), None, ann) == good


@pytest.mark.usefixtures("unnamed")
@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_the_environment_names_other_authorities_of_the_system(folder, authority, other, site, monkeypatch, variable):
    (folder / "system.pem").write_text(other.pem)
    monkeypatch.setattr(system, "FILES", (str(folder / "system.pem"),))
    hashed = folder / "hashed"
    hashed.mkdir(exist_ok=True)
    (hashed / f"{crypto.X509.from_cryptography(authority.root.certificate).subject_name_hash():08x}.0").write_text(authority.pem)
    monkeypatch.setenv(variable, str(folder / "ca.pem" if variable == "SSL_CERT_FILE" else hashed))
    assert enters(site, asking(folder, ca=""), None, authority.issue("ann", client=True))
    assert not enters(site, asking(folder, ca=""), None, other.issue("eve", client=True))


@pytest.mark.usefixtures("unnamed")
@pytest.mark.parametrize(("variable", "path", "told"), [
    ("SSL_CERT_FILE", "gone.pem", "SSL_CERT_FILE: there is no .*gone.pem"), ("SSL_CERT_DIR", "gone", "SSL_CERT_DIR: there is no .*gone"),
    ("SSL_CERT_FILE", "empty.pem", "empty.pem cannot be used"), ("SSL_CERT_FILE", "none.pem", "none.pem cannot be used"),
    ("", "", "the system has none at /no/where: "),
])
def test_a_system_that_trusts_nobody_is_told(folder, monkeypatch, variable, path, told):
    monkeypatch.setattr(system, "FILES", ("/no/where",))
    if variable:
        monkeypatch.setenv(variable, str(folder / path))
    with pytest.raises(ContextError, match=f"client_ca is empty, and .*{told}"):
        server_context(table(), asking(folder, ca=""))


@pytest.mark.parametrize(("name", "good"), [("gone", False), ("ann", True)])
def test_revoked_clients(folder, authority, site, name, good):
    people = {one: authority.issue(one, client=True) for one in ("gone", "ann")}
    crls = lists(authority.revocations(people["gone"]))
    client = python_client(certified=people[name])
    if good:
        meet(client, site, asking(folder), crls)
    else:
        with pytest.raises(Refused, match="certificate verify failed"):
            meet(client, site, asking(folder), crls)


def test_lists_judge_up_to_the_root_whichever_authorities_are_given(folder, authority, site):
    """The one that stands between, given as well, is no end of the chain: nobody could judge it there."""
    crls = lists(authority.revocations())
    client = python_client(certified=authority.issue("ann", client=True))
    meet(client, site, asking(folder, ca="whole.pem"), crls)
    with pytest.raises(Refused):
        meet(client, site, asking(folder, ca="between.pem"), crls)


@pytest.mark.parametrize("known", ["none", "those of others", "the root's", "the intermediate's"])
def test_whoever_is_judged_by_a_list_that_is_missing_is_refused(folder, authority, other, site, known):
    """Every authority of the chain needs its list."""
    intermediate, root = lists(authority.revocations())
    crls = {"none": [], "those of others": lists(other.revocations()), "the root's": [root], "the intermediate's": [intermediate]}[known]
    client = python_client(certified=authority.issue("ann", client=True))
    meet(client, site, asking(folder), [root, intermediate])
    with pytest.raises(Refused):
        meet(client, site, asking(folder), crls)


@pytest.mark.parametrize(("scope", "admitted"), [
    ({"only_contains_user_certs": True}, {"ann"}), ({"only_contains_ca_certs": True}, set()),
    ({"full_name": [x509.UniformResourceIdentifier("http://lists.example/1.crl")]}, set()),
])
def test_a_list_judges_those_alone_that_it_is_about_and_whom_none_judges_is_refused(folder, authority, site, scope, admitted):
    people = {one: authority.issue(one, client=True) for one in ("gone", "ann")}
    crls = lists(authority.revocations(people["gone"], scope=about(**scope)[0]))
    assert {name for name in people if enters(site, asking(folder), crls, people[name])} == admitted


def test_nobody_is_judged_by_a_list_past_its_time(folder, authority, site):
    ann = authority.issue("ann", client=True)
    assert enters(site, asking(folder), lists(authority.revocations(days=0.01)), ann)
    assert not enters(site, asking(folder), lists(authority.revocations(days=-0.01)), ann)


def enters(site, listener, crls, one):
    try:
        meet(python_client(certified=one), site, listener, crls)
    except Refused:
        return False
    return True


@pytest.mark.parametrize(
    ("ca", "told"),
    [
        ("missing.pem", "missing.pem: No such file"), ("none.pem", "client_ca .*none.pem: "), ("empty.pem", "client_ca .*empty.pem: "),
    ],
)
def test_files_that_cannot_be_used_are_named(folder, ca, told):
    with pytest.raises(ContextError, match=told):
        server_context(table(), asking(folder, ca=ca))


# towards endpoints

def reach(endpoint, authorities, verify=True, **words):
    client = OpenSSLSide(client_context([one.public_bytes(Encoding.DER) for one in authorities], verify, table(**words)))
    shake(PythonSide(endpoint, server=True), client)
    return client.connection


def test_endpoints_are_believed_by_their_authority(authority, other, site):
    endpoint = python_server(site)
    reach(endpoint, [other.root.certificate, authority.root.certificate])
    reach(endpoint, [authority.intermediate.certificate])            # whoever certified it
    reach(endpoint, [site.certificate])                              # itself
    with pytest.raises(Refused, match=r"certificate verify failed"):
        reach(endpoint, [other.root.certificate])
    with pytest.raises(Refused, match=r"certificate verify failed"):
        reach(endpoint, [])
    reach(endpoint, [], verify=False)


def test_a_self_signed_endpoint_is_believed_by_its_own_certificate(authority):
    alone = authority.self_signed("alone.example")
    reach(python_server(alone), [alone.certificate])


def test_expired_endpoints_are_refused(authority):
    with pytest.raises(Refused, match="certificate verify failed"):
        reach(python_server(authority.issue("old", from_day=-9, days=-2)), [authority.root.certificate])


@pytest.mark.parametrize(
    ("words", "version", "good"),
    [
        ({}, V12, True), ({}, V13, True), ({}, V11, False), ({"min_version": "TLSv1.3"}, V12, True),
        ({"min_version": "TLSv1.0"}, V10, True), ({"min_version": "TLSv1.1"}, V11, True),
        ({"max_version": "TLSv1.2"}, V13, True), ({"ciphers": "AES128-SHA"}, V12, True),
    ],
)
def test_what_clients_must_speak_does_not_bind_endpoints(authority, site, words, version, good):
    if good:
        reach(python_server(site, version=version), [authority.root.certificate], **words)
    else:
        with pytest.raises(Refused):
            reach(python_server(site, version=version), [authority.root.certificate], **words)


def test_an_endpoint_that_leaves_without_farewell_may_have_left_something_out(authority, site):
    connection = reach(python_server(site), [authority.root.certificate])
    connection.bio_shutdown()
    with pytest.raises(SSL.SysCallError):
        connection.recv(1)


def test_an_authority_that_is_none_is_told():
    with pytest.raises(ContextError, match="an authority for endpoints is no certificate"):
        client_context([b"nonsense"], True, table())
