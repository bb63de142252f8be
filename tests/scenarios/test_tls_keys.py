"""Private keys are in the memory of those who use them, and nowhere else."""

import base64
import contextlib
import os
import resource
import signal

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.scenarios.harness import processes
from tests.scenarios.harness.client import Client
from tests.scenarios.harness.objects import certificate_of, document, exposed, secret
from tests.scenarios.harness.settings import TLS, merged
from tests.scenarios.harness.until import until


@pytest.fixture(scope="module")
def certified(authority):
    """One for each way in which a certificate comes to us."""
    return {name: authority.issue(name, [f"{name}.test"], sort=sort, number=7) for name, sort in [
        ("route", "ec"), ("secret", "rsa"), ("folder", "ec384"), ("default", "rsa"),
    ]}


@pytest.fixture(scope="module")
def edged(lasting_daemon, lasting_backend, certified, authority, tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    (folder / "one.pem").write_text(certified["folder"].bundle)
    address = lasting_backend().address
    tls = {"termination": "edge"}
    bad = {**certificate_of(certified["route"]), "certificate": authority.issue("bad", sort="rsa").chain_pem}
    return lasting_daemon(merged(TLS, {"tls": {"certificates": [str(folder)]}, "log": {"level": "debug"}}), document(
        *exposed("route", "route.test", address, tls={**tls, **certificate_of(certified["route"])}),
        *exposed("secret", "secret.test", address, tls={**tls, "externalCertificate": {"name": "one"}}), secret("one", certified["secret"]),
        *exposed("folder", "folder.test", address, tls=tls),
        *exposed("bad", "bad.test", address, tls={**tls, **bad}),
    ), {"DEFAULT_CERTIFICATE": certified["default"].bundle})


def secrets_of(certified):
    """What must not be found: the keys as PEM, as base64 of PEM, as DER, and the number that is the key itself."""
    for one in certified.values():
        pem = one.key_pem.encode()
        numbers = one.key.private_numbers()
        number = numbers.private_value if hasattr(numbers, "private_value") else numbers.d
        yield pem.split(b"\n")[2]
        yield base64.b64encode(pem)[40:100]
        yield one.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())[-60:]
        yield number.to_bytes((number.bit_length() + 7) // 8, "big")


def leaked(data, certified):
    return [secret for secret in secrets_of(certified) if secret in data]


def test_they_are_in_use(edged, certified):
    for name in ("route", "secret", "folder"):
        assert edged.shown(f"{name}.test") == name
    assert edged.shown() == "default"


def test_they_are_in_no_log(edged, certified):
    edged.process.send_signal(1)
    edged.until_said("SIGHUP")
    assert edged.said("bad")
    assert not leaked(edged.stderr.encode(), certified)
    assert "PRIVATE KEY" not in edged.stderr


def test_they_are_in_no_file(edged, certified):
    """Nor in what control keeps for its next start."""
    until(lambda: any((edged.directory / "state").iterdir()), what="control has kept what it knows")
    kept = [path for folder in ("state", "run", "elsewhere") for path in (edged.directory / folder).rglob("*") if path.is_file()]
    assert kept
    for path in kept:
        assert not leaked(path.read_bytes(), certified), path


def test_they_are_in_the_environment_of_no_child(edged, certified):
    """What came by a variable does not go on."""
    for pid in processes.descendants(edged.pid):
        with open(f"/proc/{pid}/environ", "rb") as environ:
            assert not leaked(environ.read(), certified), processes.name_of(pid)


def test_they_are_in_no_command_line(edged, certified):
    for pid in (edged.pid, *processes.descendants(edged.pid)):
        with open(f"/proc/{pid}/cmdline", "rb") as words:
            assert not leaked(words.read(), certified)


def test_no_answer_tells_them(edged, certified):
    with Client(edged.address()) as client:
        client.send(b"GET /%00" + b"x" * 200 + b" HTTP/1.1\r\n\r\n")
        assert not leaked(client.until_gone(), certified)


@contextlib.contextmanager
def cores_allowed():
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


def test_no_core_is_dumped_whatever_the_limit_says(daemon):
    """Nor does anybody else of the same user look into their memory: what /proc has of them belongs to root."""
    with cores_allowed():
        edged = daemon({"run": {"core_dumps": False}})
    family = processes.descendants(edged.pid)
    for pid in (edged.pid, *family):
        assert os.stat(f"/proc/{pid}/maps").st_uid == 0
    victim = edged.worker_pid()
    os.kill(victim, signal.SIGABRT)
    edged.until_said(rf"process {victim}\) was ended by SIGABRT")
    os.kill(edged.pid, signal.SIGABRT)
    ended = os.waitid(os.P_PID, edged.pid, os.WEXITED | os.WNOWAIT)
    assert ended is not None
    assert ended.si_code == os.CLD_KILLED        # CLD_DUMPED: with a core
    assert not list(edged.directory.rglob("core*"))
    until(lambda: not [pid for pid in family if processes.alive(pid)], what="its children have left")
    edged.expected_status = -signal.SIGABRT
