"""The default certificate: where it is looked for, in which order, and how it changes (openshift-routes.md 7.2)."""

import os
import signal
import stat
import subprocess

import pytest
from cryptography import x509

from tests.scenarios.harness.objects import document, exposed
from tests.scenarios.harness.settings import BASE, TLS, command, environment, merged, toml
from tests.scenarios.harness.until import until

START_S = 60


@pytest.fixture(scope="module")
def certified(authority):
    return {name: authority.issue(name, number=number) for number, name in enumerate(("first", "second", "third"))}


def folder_with(path, certificate, key=""):
    path.mkdir(parents=True)
    (path / "tls.crt").write_text(certificate)
    if key:
        (path / "tls.key").write_text(key)
    return path


def test_the_text_of_the_variable_comes_first_then_the_file_then_the_folder(daemon, certified, tmp_path):
    first, second, third = certified.values()
    (tmp_path / "second.pem").write_text(second.bundle)
    folder = folder_with(tmp_path / "third", third.chain_pem, third.key_pem)
    variables = {
        "DEFAULT_CERTIFICATE": first.bundle, "DEFAULT_CERTIFICATE_PATH": str(tmp_path / "second.pem"),
        "DEFAULT_CERTIFICATE_DIR": str(folder),
    }
    for gone, shown in [("", "first"), ("DEFAULT_CERTIFICATE", "second"), ("DEFAULT_CERTIFICATE_PATH", "third")]:
        variables.pop(gone, None)
        assert daemon(TLS, variables=variables).shown("any.test") == shown


@pytest.mark.parametrize("order", ["key first", "key last", "key between"])
def test_the_order_in_a_file_does_not_matter(daemon, certified, tmp_path, order):
    one = certified["first"]
    text = {
        "key first": one.key_pem + one.chain_pem, "key last": one.chain_pem + one.key_pem,
        "key between": one.pem + one.key_pem + one.between_pem,
    }[order]
    (tmp_path / "default.pem").write_text(text)
    edged = daemon(merged(TLS, {"tls": {"default_certificate": str(tmp_path / "default.pem")}}))
    assert edged.shown() == "first"


@pytest.mark.parametrize("sort", ["rsa", "ec", "ec384"])
def test_sorts_of_keys(daemon, authority, tmp_path, sort):
    (tmp_path / "default.pem").write_text(authority.issue(f"with {sort}", sort=sort).bundle)
    assert daemon(merged(TLS, {"tls": {"default_certificate": str(tmp_path / "default.pem")}})).shown() == f"with {sort}"


@pytest.mark.parametrize("missing_newline", [False, True])
def test_a_folder_whose_certificate_file_holds_no_key(daemon, certified, tmp_path, missing_newline):
    one = certified["first"]
    chain = one.chain_pem.rstrip("\n") if missing_newline else one.chain_pem
    folder = folder_with(tmp_path / "certificate", chain, one.key_pem)
    assert daemon(TLS, variables={"DEFAULT_CERTIFICATE_DIR": str(folder)}).shown() == "first"


def test_a_folder_whose_certificate_file_holds_the_key_itself(daemon, certified, tmp_path):
    """The other file is not even looked at."""
    folder = folder_with(tmp_path / "certificate", certified["first"].bundle, certified["second"].key_pem.replace("PRIVATE", "NO"))
    assert daemon(TLS, variables={"DEFAULT_CERTIFICATE_DIR": str(folder)}).shown() == "first"


def test_a_folder_changes_as_a_mounted_secret_does(daemon, certified, tmp_path):
    """A link to a folder is turned; a broken one changes nothing, and is named."""
    for name, one in certified.items():
        folder_with(tmp_path / f"..{name}", one.chain_pem, one.key_pem)
    folder_with(tmp_path / "..broken", certified["first"].chain_pem, certified["third"].key_pem)
    mounted = tmp_path / "mounted"
    mounted.mkdir()

    def turn(name):
        os.symlink(tmp_path / f"..{name}", mounted / "..new")
        os.rename(mounted / "..new", mounted / "..data")

    turn("first")
    for file in ("tls.crt", "tls.key"):
        os.symlink(os.path.join("..data", file), mounted / file)
    edged = daemon(TLS, variables={"DEFAULT_CERTIFICATE_DIR": str(mounted)})
    assert edged.shown() == "first"
    turn("second")
    until(lambda: edged.shown() == "second", what="the second is shown")
    turn("broken")
    edged.until_said(r"tls\.crt|mounted")
    assert edged.shown() == "second"
    turn("third")
    until(lambda: edged.shown() == "third", what="the third is shown")


def test_a_file_is_replaced(daemon, certified, tmp_path):
    path = tmp_path / "default.pem"
    path.write_text(certified["first"].bundle)
    edged = daemon(merged(TLS, {"tls": {"default_certificate": str(path)}}))
    assert edged.shown() == "first"
    (tmp_path / "new").write_text(certified["second"].bundle)
    (tmp_path / "new").rename(path)
    until(lambda: edged.shown() == "second", what="the second is shown")


def test_with_none_given_one_is_made_and_kept(daemon):
    """A warning says so; the key is its owner's alone, and the certificate is the same after a new start."""
    edged = daemon(TLS, variables={"ROUTER_DOMAIN": "apps.test"})
    assert edged.said(r"(?i)self-signed")
    with edged.connect_tls() as client:
        der = client.tls.object.getpeercert(binary_form=True)
    made = x509.load_der_x509_certificate(der)
    assert made.issuer == made.subject
    assert made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName) == ["*.apps.test"]
    assert (made.not_valid_after_utc - made.not_valid_before_utc).days > 3640
    for path in (edged.directory / "state").rglob("*"):
        if path.is_file() and b"PRIVATE KEY" in path.read_bytes():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert edged.stop() == 0
    edged.start()
    with edged.connect_tls() as client:
        assert client.tls.object.getpeercert(binary_form=True) == der


def test_without_a_tls_listener_none_is_made(daemon):
    edged = daemon()
    assert not edged.said(r"(?i)self-signed")


def test_a_passphrase_opens_an_encrypted_key(daemon, certified, tmp_path):
    one = certified["first"]
    (tmp_path / "default.pem").write_text(one.chain_pem + one.locked_key_pem("open sesame"))
    (tmp_path / "passphrase").write_text("open sesame\n")
    for tls, variables in [
        ({"key_passphrase_file": str(tmp_path / "passphrase")}, {}), ({"key_passphrase_env": "SESAME"}, {"SESAME": "open sesame"}),
    ]:
        edged = daemon(merged(TLS, {"tls": {"default_certificate": str(tmp_path / "default.pem"), **tls}}), variables=variables)
        assert edged.shown() == "first"


def _fails(tmp_path, settings, **variables):
    """What stderr says of a start that ends at once."""
    places = {"runtime_dir": str(tmp_path / "run"), "state_dir": str(tmp_path / "state")}
    (tmp_path / "routes.d").mkdir(exist_ok=True)
    config = tmp_path / "edged.toml"
    config.write_text(toml(merged(merged(BASE, {"run": places}), settings)))
    ended = subprocess.run(
        command("run", "--config", str(config)), env=environment(**variables), capture_output=True, text=True, timeout=START_S, check=False,
    )
    assert ended.returncode not in (0, -signal.SIGKILL)
    assert "Traceback" not in ended.stderr
    return ended.stderr


@pytest.mark.parametrize("flaw", ["missing", "no certificate", "no key", "wrong key", "weak", "broken", "locked"])
def test_a_start_with_a_bad_default_certificate_ends_with_its_name(tmp_path, authority, certified, flaw):
    path = tmp_path / "default.pem"
    one, other = certified["first"], certified["second"]
    text = {
        "missing": None, "no certificate": one.key_pem, "no key": one.chain_pem,
        "wrong key": one.chain_pem + authority.issue("x", sort="rsa").key_pem, "weak": authority.issue("weak", sort="rsa1024").bundle,
        "broken": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" + other.key_pem,
        "locked": one.chain_pem + one.locked_key_pem("sesame"),
    }[flaw]
    if text is not None:
        path.write_text(text)
    assert "default.pem" in _fails(tmp_path, merged(TLS, {"tls": {"default_certificate": str(path)}}))


def test_an_unreadable_folder_ends_the_start(tmp_path):
    assert "certificates" in _fails(tmp_path, TLS, DEFAULT_CERTIFICATE_DIR=str(tmp_path / "certificates"))


def test_the_default_is_shown_by_routes_that_carry_none(daemon, backend, certified):
    edged = daemon(TLS, document(*exposed("one", "one.test", backend().address, tls={"termination": "edge"})),
                   {"DEFAULT_CERTIFICATE": certified["first"].bundle})
    with edged.connect_tls("one.test") as client:
        assert client.tls.shown == "first"
        assert client.ask(host="one.test").status == 200
