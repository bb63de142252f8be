"""Sessions are resumed by tickets: with any worker, after any of them was killed, and not where it must not be."""

import base64
import os
import re
import signal
import ssl
import subprocess

import pytest

from edged.ctl.client import ask
from tests.scenarios.harness.client import request_bytes
from tests.scenarios.harness.objects import certificate_of, document, exposed
from tests.scenarios.harness.peers import s_client, tool
from tests.scenarios.harness.settings import TLS, merged, toml
from tests.scenarios.harness.tls import client_context
from tests.scenarios.harness.until import until

COME_S = 90.0                                    # for a generation, on a machine that is busy
HOST = "one.test"
TWO_WORKERS = {**TLS, "worker": {"count": 2}}
VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])


def served(authority, backend, *hosts):
    return document(*(
        one for host in hosts
        for one in exposed(host, host, backend().address, tls={"termination": "edge", **certificate_of(authority.issue(f"of {host}"))})
    ))


@pytest.fixture(scope="module")
def edged(lasting_daemon, lasting_backend, authority):
    return lasting_daemon(TWO_WORKERS, served(authority, lasting_backend, HOST, "two.test"))


def visit(edged, context, session=None, host=HOST):
    """A request on a connection that may resume `session`; answers whether it did, and the session that it left."""
    with edged.connect_tls(host, context, session=session) as client:
        assert client.ask(host=host).status == 200      # in TLS 1.3 tickets come after the handshake
        return client.tls.resumed, client.tls.session


def accepted(edged):
    return [edged.arena.read_tally(index)["tls_resumed"] for index in range(2)]


@VERSIONS
def test_every_worker_resumes_what_any_of_them_has_agreed(edged, version):
    context = client_context(highest=version)
    resumed, session = visit(edged, context)
    assert not resumed
    before = accepted(edged)
    for _ in range(200):
        resumed, session = visit(edged, context, session)
        assert resumed
        if all(now > then for now, then in zip(accepted(edged), before, strict=True)):
            return
    raise AssertionError("one worker got no connection out of 200")


@VERSIONS
def test_a_ticket_is_good_for_many_connections(edged, version):
    context = client_context(highest=version)
    _, session = visit(edged, context)
    assert all(visit(edged, context, session)[0] for _ in range(20))


@VERSIONS
def test_a_killed_worker_takes_no_session_with_it(edged, version):
    context = client_context(highest=version)
    _, session = visit(edged, context)
    for index in range(2):
        victim = edged.worker_pid(index)
        os.kill(victim, signal.SIGKILL)
        until(lambda index=index, victim=victim: edged.worker_pid(index) not in (0, victim))
        until(lambda index=index: edged.arena.read_tally(index)["table_version"] > 0)
    assert all(visit(edged, context, session)[0] for _ in range(20))


def reload(edged, number):
    edged.process.send_signal(signal.SIGHUP)
    edged.until_said(rf"generation {number} serves", COME_S)
    edged.until_said(rf"generation {number - 1} has left", COME_S)


@pytest.mark.timeout(600)
def test_a_reload_and_an_upgrade_keep_every_session(daemon, backend, authority):
    """Workers, control and even the program are other ones then."""
    edged = daemon(TWO_WORKERS, served(authority, backend, HOST))
    contexts = [client_context(highest=version) for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)]
    sessions = [visit(edged, context)[1] for context in contexts]
    reload(edged, 2)
    for context, session in zip(contexts, sessions, strict=True):
        assert all(visit(edged, context, session)[0] for _ in range(10))
    reply = ask(str(edged.directory / "run"), "upgrade", {"wait": True}, lambda _: None)
    assert reply.ok, reply.result
    for context, session in zip(contexts, sessions, strict=True):
        assert all(visit(edged, context, session)[0] for _ in range(10))


@pytest.mark.timeout(600)
@VERSIONS
def test_another_rotation_after_a_reload_makes_whole_handshakes_and_new_sessions(daemon, backend, authority, version):
    edged = daemon(TWO_WORKERS, served(authority, backend, HOST))
    context = client_context(highest=version)
    _, session = visit(edged, context)
    edged.config.write_text(toml(merged(edged.settings, {"tls": {"ticket_rotation": "2h"}})))
    reload(edged, 2)
    resumed, session = visit(edged, context, session)
    assert not resumed
    assert all(visit(edged, context, session)[0] for _ in range(10))


def test_the_certificate_is_not_sent_again(edged):
    """The worth of it: neither a certificate nor a signature."""
    context = client_context(highest=ssl.TLSVersion.TLSv1_2)
    _, session = visit(edged, context)
    edged.until_idle()
    before = edged.arena.totals()["tls_resumed"]
    assert visit(edged, context, session)[0]
    assert edged.arena.totals()["tls_resumed"] == before + 1


@VERSIONS
def test_tickets_may_be_off(daemon, backend, authority, version):
    edged = daemon(merged(TWO_WORKERS, {"tls": {"session_tickets": False}}), served(authority, backend, HOST))
    context = client_context(highest=version)
    _, session = visit(edged, context)
    assert not any(visit(edged, context, session)[0] for _ in range(5))


def openssl(edged, *words):
    """What openssl's own client tells of one request."""
    told = s_client(edged.address("tls"), "-servername", HOST, "-ign_eof", *words, stdin=request_bytes("/", HOST, Connection="close"))
    assert "HTTP/1.1 200 OK" in told, told
    return told


def flip(path, place):
    """Change one bit of the ticket of a session that openssl has kept."""
    dump = subprocess.run([tool("openssl"), "sess_id", "-in", path, "-noout", "-text"], capture_output=True, text=True, check=True).stdout
    ticket = bytes.fromhex("".join(re.findall(r"^    [0-9a-f]{4} - ((?:[0-9a-f]{2}[ -])+)", dump, re.MULTILINE)).replace("-", " "))
    session = base64.b64decode("".join(path.read_text().splitlines()[1:-1]))
    assert session.count(ticket) == 1
    at = session.index(ticket) + round(place * (len(ticket) - 1))
    session = session[:at] + bytes([session[at] ^ 1]) + session[at + 1:]
    path.write_text(f"-----BEGIN SSL SESSION PARAMETERS-----\n{base64.encodebytes(session).decode()}-----END SSL SESSION PARAMETERS-----\n")


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_damaged_ticket_makes_a_whole_handshake(edged, tmp_path, version):
    """Wherever the damage is: in the name of its key, in what it seals, in the seal. It is never an error."""
    path = tmp_path / "session"
    for place in (0, 0.3, 0.6, 1):
        assert "New, " in openssl(edged, version, "-sess_out", str(path))
        assert "Reused, " in openssl(edged, version, "-sess_in", str(path))
        flip(path, place)
        assert "New, " in openssl(edged, version, "-sess_in", str(path))


@VERSIONS
def test_a_ticket_of_somebody_else_makes_a_whole_handshake(edged, daemon, backend, authority, version):
    context = client_context(highest=version)
    other = daemon(merged(TWO_WORKERS, {"worker": {"count": 1}}), served(authority, backend, HOST))
    _, session = visit(other, context)
    assert not visit(edged, context, session)[0]


def test_a_session_of_one_host_shows_no_other(edged):
    """A ticket of one.test brought to two.test: whatever becomes of it, two.test is served by its own certificate or by none."""
    context = client_context(highest=ssl.TLSVersion.TLSv1_2)
    _, session = visit(edged, context)
    resumed, _ = visit(edged, context, session, "two.test")
    assert not resumed or edged.shown("two.test") == "of two.test"
