"""[tls] and what listeners say of it: openshift-routes.md 7.2 to 7.4, 7.8, 11.5."""

import subprocess
import sys

import msgpack
import pytest

from edged.model.listener import Mode
from edged.settings import Settings
from edged.settings.load import read
from edged.tls.profiles import PROFILES, check_ciphers, check_groups, check_suites, cipher_list, known_ciphers

HTTPS = '[[listener]]\naddress = "127.0.0.1:443"\nmode = "https"\n'
TCP = '[[listener]]\naddress = "127.0.0.1:5432"\nmode = "tcp"\nroute = "db"\ntls = true\n'


@pytest.fixture
def under(tmp_path):
    """The settings of a file under some variables; every problem is a line."""

    def go(text=HTTPS, **environ):
        path = tmp_path / "edged.toml"
        path.write_text(text)
        settings, problems = read(str(path), environ)
        return settings, [str(problem).removeprefix(f"{path}:") for problem in problems]

    return go


def test_the_defaults(under):
    settings, problems = under()
    tls = settings.tls
    assert problems == []
    assert (tls.ciphers, tls.min_version, tls.max_version, tls.curves, tls.ciphersuites) == ("intermediate", "TLSv1.2", "", "", "")
    assert (tls.session_tickets, tls.ticket_rotation_ms, tls.strict_sni, tls.client_auth) == (True, 3_600_000, False, "none")
    assert settings.timeouts.tls_handshake_ms == 10_000
    (listener,) = settings.listeners
    assert (listener.mode, listener.tls, listener.client_auth) == (Mode.HTTPS, True, "none")
    assert settings.notes == ()


@pytest.mark.parametrize(("variable", "text", "key", "value"), [
    ("DEFAULT_CERTIFICATE_PATH", "/a/b.pem", "default_certificate", "/a/b.pem"),
    ("DEFAULT_CERTIFICATE_DIR", "/a", "default_certificate_dir", "/a"),
    ("DEFAULT_CERTIFICATE", "-----BEGIN\nx", "default_pem", "-----BEGIN\nx"),
    ("ROUTER_CIPHERS", "modern", "ciphers", "modern"),
    ("ROUTER_CIPHERS", "AES128-SHA:ECDHE-RSA-AES128-SHA", "ciphers", "AES128-SHA:ECDHE-RSA-AES128-SHA"),
    ("ROUTER_CIPHERSUITES", "TLS_AES_256_GCM_SHA384", "ciphersuites", "TLS_AES_256_GCM_SHA384"),
    ("ROUTER_CURVES", "X25519:P-256", "curves", "X25519:P-256"),
    ("SSL_MIN_VERSION", "TLSv1.3", "min_version", "TLSv1.3"), ("SSL_MIN_VERSION", "SSLv3", "min_version", "TLSv1.0"),
    ("SSL_MAX_VERSION", "TLSv1.2", "max_version", "TLSv1.2"),
    ("ROUTER_STRICT_SNI", "true", "strict_sni", True), ("ROUTER_STRICT_SNI", "yes", "strict_sni", False),
    ("ROUTER_MUTUAL_TLS_AUTH", "required", "client_auth", "required"),
    ("ROUTER_MUTUAL_TLS_AUTH_CA", "/dev/null", "client_ca", "/dev/null"),
    ("ROUTER_MUTUAL_TLS_AUTH_CRL", "/dev/null", "client_crl", "/dev/null"),
    ("ROUTER_MUTUAL_TLS_AUTH_FILTER", "/CN=a", "client_filter", "/CN=a"),
    ("DEFAULT_DESTINATION_CA_PATH", "/dev/null", "destination_ca", "/dev/null"),
])
def test_variables(under, variable, text, key, value):
    settings, problems = under(**{variable: text})
    assert problems == []
    assert getattr(settings.tls, key) == value
    assert settings.notes == ()


@pytest.mark.parametrize(("written", "variables", "left"), [
    ("", {"DEFAULT_CERTIFICATE": "x", "DEFAULT_CERTIFICATE_PATH": "/p", "DEFAULT_CERTIFICATE_DIR": "/d"}, ("", "", "x")),
    ("", {"DEFAULT_CERTIFICATE_PATH": "/p", "DEFAULT_CERTIFICATE_DIR": "/d"}, ("/p", "", "")),
    ('default_certificate = "/f"', {"DEFAULT_CERTIFICATE": "x", "DEFAULT_CERTIFICATE_DIR": "/d"}, ("/f", "", "")),
    ('default_certificate_dir = "/f"', {"DEFAULT_CERTIFICATE": "x", "DEFAULT_CERTIFICATE_PATH": "/p"}, ("", "/f", "")),
    ('default_certificate = ""', {"DEFAULT_CERTIFICATE": "x"}, ("", "", "")),
])
def test_one_source_of_the_default_certificate_is_left(under, written, variables, left):
    settings, problems = under(f"{HTTPS}[tls]\n{written}", **variables)
    assert problems == []
    assert (settings.tls.default_certificate, settings.tls.default_certificate_dir, settings.tls.default_pem) == left


@pytest.mark.parametrize(("text", "told"), [
    ('ciphers = "NOPE"', '5: tls.ciphers: "NOPE" is no cipher of OpenSSL '),
    ('ciphers = "AES128-SHA:DES-CBC3-SHA"', '"DES-CBC3-SHA" is no cipher'),
    ('ciphers = "TLS_AES_128_GCM_SHA256"', "it belongs in ciphersuites"), ('ciphers = "AES128-SHA:!AES"', "leaves no cipher"),
    ('ciphersuites = "TLS_AES_128_GCM_SHA256:AES128-SHA"', '5: tls.ciphersuites: "AES128-SHA" is no suite of TLS 1.3'),
    ('ciphersuites = "TLS_AES_128_GCM_SHA256:"', '"" is no suite'),
    ('curves = "X25519:P-257"', '5: tls.curves: "P-257" is no group that OpenSSL '), ('curves = ":"', '"" is no group'),
    ('min_version = "SSLv3"', '"SSLv3" is none of TLSv1.0, TLSv1.1, TLSv1.2, TLSv1.3'), ('max_version = "SSLv3"', "is none of"),
    ('min_version = "TLSv1.3"\nmax_version = "TLSv1.2"', "6: tls.max_version: TLSv1.2 is older than the oldest"),
    ('ticket_rotation = "59s"', "59s is out of range"), ('client_auth = "maybe"', "is none of none, optional, required"),
    ('client_ca = "gone.pem"', "5: tls.client_ca: gone.pem: cannot be read: No such file"),
    ('client_crl = "."', ".: cannot be read: Is a"),
    ('destination_ca = "gone.pem"', "5: tls.destination_ca: gone.pem: cannot be read"),
    ('key_passphrase_file = "gone"', "5: tls.key_passphrase_file: gone: cannot be read"),
    ('key_passphrase_env = "NOT_SET"', "the variable NOT_SET is empty or not set"),
    ('key_passphrase_env = "HOME"\nkey_passphrase_file = "edged.toml"', "choose one"),
    ('default_certificate = "a"\ndefault_certificate_dir = "b"', "there is a default_certificate already"),
    ('client_filter = "("', "5: tls.client_filter: "), ('certificates = "a"', "write a list, not a text"),
    ("default_pem = 'x'", "unknown key"),
])
def test_problems(under, text, told):
    _, problems = under(f"{HTTPS}[tls]\n{text}", HOME="/root")
    assert len(problems) == 1
    assert told in problems[0]


@pytest.mark.parametrize(("variable", "text"), [
    ("ROUTER_CIPHERS", "NOPE:NEITHER"), ("ROUTER_CIPHERSUITES", "NOPE"), ("ROUTER_CURVES", "NOPE"), ("SSL_MIN_VERSION", "1.2"),
    ("SSL_MAX_VERSION", "TLSv1.4"), ("ROUTER_MUTUAL_TLS_AUTH", "yes"), ("ROUTER_MUTUAL_TLS_AUTH_FILTER", "("),
    ("DEFAULT_DESTINATION_CA_PATH", "/gone"), ("ROUTER_MUTUAL_TLS_AUTH_CA", "/gone"), ("ROUTER_MUTUAL_TLS_AUTH_CRL", "/gone"),
])
def test_a_wrong_variable_weakens_nothing_silently(under, variable, text):
    _, problems = under(**{variable: text})
    assert len(problems) == 1
    assert variable in problems[0]
    assert "environment" in problems[0]


def test_lists_of_old_deployments_lose_what_is_gone(under):
    settings, problems = under(ROUTER_CIPHERS="ECDHE-RSA-DES-CBC3-SHA:AES128-SHA:!KRB5-DES-CBC3-SHA")
    assert problems == []
    assert settings.tls.ciphers == "AES128-SHA:!KRB5-DES-CBC3-SHA"
    assert "passed over" in settings.notes[0]


@pytest.mark.parametrize("text", [*PROFILES, "ECDHE+AESGCM:!aNULL", "DEFAULT:@SECLEVEL=1", "AES128-SHA,AES256-SHA", "ALL:+SHA:@STRENGTH"])
def test_ciphers_that_there_are(text):
    assert check_ciphers(text) == text
    assert known_ciphers(text) == text.replace(",", ":")
    assert cipher_list(text) == PROFILES.get(text, text)


@pytest.mark.parametrize("text", ["X25519MLKEM768:X25519", "?X25519MLKEM768/P-256", "secp384r1", "DEFAULT"])
def test_groups_that_there_are(text):
    assert check_groups(text) == text


def test_suites_that_there_are():
    assert check_suites("TLS_CHACHA20_POLY1305_SHA256") == "TLS_CHACHA20_POLY1305_SHA256"


# ---- listeners


def test_listeners_inherit_and_override_what_clients_are_asked_for(under, tmp_path):
    for name in ("ca", "crl", "other"):
        (tmp_path / name).write_text("")
    tls = '[tls]\nclient_auth = "required"\nclient_ca = "ca"\nclient_crl = "crl"\nclient_filter = "/CN=a"\n'
    own = 'client_auth = "optional"\nclient_ca = "other"\nclient_filter = "/CN=b"\n'
    settings, problems = under(f'{HTTPS}{own}{TCP}[[listener]]\naddress = "127.0.0.1:80"\n{tls}')
    assert problems == []
    web, database, plain = settings.listeners
    assert (web.client_auth, web.client_ca, web.client_crl, web.client_filter) == (
        "optional", str(tmp_path / "other"), str(tmp_path / "crl"), "/CN=b",
    )
    assert database.tls
    assert (database.client_auth, database.client_ca, database.client_filter) == ("required", str(tmp_path / "ca"), "/CN=a")
    assert (plain.tls, plain.client_auth, plain.client_ca, plain.client_filter) == (False, "none", "", "")


def test_a_tcp_listener_speaks_tls_only_if_told(under):
    settings, problems = under(TCP.replace("tls = true\n", ""))
    assert problems == []
    assert not settings.listeners[0].tls


@pytest.mark.parametrize(("text", "told"), [
    ('[[listener]]\naddress = "127.0.0.1:80"\ntls = true\n', 'listener[0].tls: write mode = "https" instead'),
    ('[[listener]]\naddress = "127.0.0.1:80"\nclient_auth = "none"\n', "3: listener[0].client_auth: it has no meaning without TLS"),
    (TCP.replace("true", "false") + 'client_ca = "x"\n', "6: listener[0].client_ca: it has no meaning without TLS"),
    (HTTPS + 'client_ca = "gone"\n', "4: listener[0].client_ca: gone: cannot be read"),
    (HTTPS + 'client_crl = "gone"\n', "4: listener[0].client_crl: gone: cannot be read"),
    (HTTPS + 'client_filter = "("\n', "4: listener[0]."),
])
def test_problems_of_listeners(under, text, told):
    _, problems = under(text)
    assert len(problems) == 1
    assert told in problems[0]


# ---- who sees them


def test_they_travel_over_the_wire(under):
    settings, problems = under(f'{HTTPS}[tls]\ncertificates = ["a", "/b"]\n', DEFAULT_CERTIFICATE="secret")
    assert problems == []
    assert settings.tls.certificates == (f"{settings.directory}/a", "/b")
    assert Settings.from_wire(msgpack.unpackb(msgpack.packb(settings.to_wire()))) == settings


def test_keys_in_a_variable_are_not_shown(under):
    settings, _ = under(DEFAULT_CERTIFICATE="sesame")
    assert "sesame" not in repr(settings)


def test_reading_settings_needs_no_openssl(tmp_path):
    """The supervisor holds none, unless names have to be asked for."""
    path = tmp_path / "edged.toml"
    path.write_text(f'{HTTPS}[tls]\ndefault_certificate = "x"\n')
    code = f"import sys; from edged.settings.load import load; load({str(path)!r}, {{}}); print('OpenSSL' in sys.modules)"
    environment = {"PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "False\n"
