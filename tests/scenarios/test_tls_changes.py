"""Certificates change while clients come: of Route objects, of Secrets, in folders of PEM files. Only who comes next notices."""

import contextlib
import os
import re
import threading

import pytest

from tests.scenarios.harness.objects import certificate_of, document, exposed, secret
from tests.scenarios.harness.peers import s_client
from tests.scenarios.harness.settings import TLS, merged
from tests.scenarios.harness.tls import client_context
from tests.scenarios.harness.until import until

HOST = "one.test"
REPLACED, AWAITED = 1000, 8                      # each eighth is waited for: those between may be passed over
GROWTH_MOST = 4 * 1024 * 1024
MANY = 10_000
EACH_MOST_BYTES = 24 * 1024                      # of a worker's own memory, a certificate with its key and its intermediate


def edge(one):
    return {"termination": "edge", **certificate_of(one)}


class Visitors:
    """Clients that shake hands anew for each request, one of them inside a connection that it keeps; they tell what went wrong."""

    def __init__(self, edged, host=HOST):
        self.served, self.shown, self.wrong = 0, set(), []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=visit, args=(edged, host)) for visit in (self._come_anew, self._come_anew, self._stay)]
        for thread in self._threads:
            thread.start()
        until(lambda: self.served > 20)

    def _come_anew(self, edged, host):
        while not self._over.is_set():
            try:
                with edged.connect_tls(host) as client:
                    self.shown.add(client.tls.shown)
                    if client.ask(host=host).status != 200:
                        self.wrong.append("status")
                    self.served += 1
            except (OSError, EOFError) as why:
                self.wrong.append(repr(why))

    def _stay(self, edged, host):
        try:
            with edged.connect_tls(host) as client:
                while not self._over.is_set():
                    if client.ask(host=host).status != 200:
                        self.wrong.append("status of the one that stays")
        except (OSError, EOFError) as why:
            self.wrong.append(f"the one that stays: {why!r}")

    def go_on(self, requests):
        goal = self.served + requests
        until(lambda: self.served > goal)

    def leave(self):
        self._over.set()
        for thread in self._threads:
            thread.join()
        assert not self.wrong, self.wrong[:5]


def until_shown(edged, name, host=HOST, count=2):
    """By every worker."""
    until(lambda: all(edged.shown(host) == name for _ in range(4 * count)), what=f"{name} is shown")


def test_a_certificate_is_replaced_a_thousand_times_under_load(daemon, backend, authority):
    """No handshake fails, no connection is cut, and memory is what it was."""
    address = backend().address
    edged = daemon(TLS, document(*exposed("one", HOST, address, tls=edge(authority.issue("number 0")))))
    visitors = Visitors(edged)
    before = 0
    for n in range(1, REPLACED + 1):
        edged.write_routes(document(*exposed("one", HOST, address, tls=edge(authority.issue(f"number {n}", number=n % 2)))))
        if n % AWAITED == 0:
            until(lambda n=n: f"number {n}" in visitors.shown, what=f"certificate {n} is shown")
        if n == REPLACED // 5:                   # by now all that is kept for reuse is there
            before = edged.anonymous_bytes()
    visitors.leave()
    grown = edged.anonymous_bytes() - before
    print(f"{visitors.served} handshakes while {len(visitors.shown)} certificates were shown, {grown / 1024:.0f} KiB more memory")
    assert grown < GROWTH_MOST
    edged.until_idle()


@pytest.fixture(scope="module")
def edged(lasting_daemon):
    return lasting_daemon(merged(TLS, {"worker": {"count": 2}}))


def test_a_connection_that_is_kept_is_not_disturbed(edged, backend, authority):
    address = backend().address
    edged.change_routes(document(*exposed("one", HOST, address, tls=edge(authority.issue("before")))))
    until_shown(edged, "before")
    with edged.connect_tls(HOST) as client:
        edged.write_routes(document(*exposed("one", HOST, address, tls=edge(authority.issue("after")))))
        until_shown(edged, "after")
        assert client.tls.shown == "before"
        assert client.ask(host=HOST).status == 200


BAD = ["wrong key", "broken", "no key", "cut", "weak", "foreign chain", "ed25519"]


def flawed(authority, flaw):
    """The keys of spec.tls with a certificate that must not be served."""
    one, other = authority.issue("flawed"), authority.issue("other", sort="rsa")
    return {
        "wrong key": {"certificate": one.chain_pem, "key": other.key_pem},
        "broken": {"certificate": one.pem.replace("MII", "!!!", 1), "key": one.key_pem},
        "no key": {"certificate": one.chain_pem},
        "cut": {"certificate": one.pem[:200], "key": one.key_pem},
        "weak": certificate_of(authority.issue("weak", sort="rsa1024")),
        "foreign chain": {"certificate": one.pem, "key": one.key_pem, "caCertificate": authority.self_signed("stranger").pem},
        "ed25519": certificate_of(authority.issue("ed", sort="ed25519")),
    }[flaw]


@pytest.mark.parametrize("flaw", BAD)
def test_a_bad_certificate_is_refused_by_name_and_others_stay(edged, backend, authority, flaw):
    """A route that was never good is not served; what is served meanwhile goes on."""
    address = backend().address
    good = exposed("good", "good.test", address, tls=edge(authority.issue("good")))
    edged.change_routes(document(*good))
    name = f"bad-{flaw.replace(' ', '-')}"
    edged.write_routes(document(*good, *exposed(name, "bad.test", address, tls={"termination": "edge", **flawed(authority, flaw)})))
    assert edged.until_said(rf"{name}\b.*(?i:certificate|key)")
    assert edged.shown("bad.test") != "flawed"
    assert edged.ask_tls("good.test").status == 200
    assert edged.shown("good.test") == "good"


@pytest.mark.parametrize("flaw", BAD)
def test_a_bad_certificate_takes_no_good_ones_place(edged, backend, authority, flaw):
    """The route is served as it was, by the certificate that it had."""
    address = backend().address
    name = f"turned-{flaw.replace(' ', '-')}"
    edged.change_routes(document(*exposed(name, "turned.test", address, tls=edge(authority.issue("good")))))
    until_shown(edged, "good", "turned.test")
    edged.write_routes(document(*exposed(name, "turned.test", address, tls={"termination": "edge", **flawed(authority, flaw)})))
    assert edged.until_said(rf"{name}\b.*(?i:certificate|key)")
    assert edged.shown("turned.test") == "good"
    assert edged.ask_tls("turned.test").status == 200
    edged.write_routes(document(*exposed(name, "turned.test", address, tls=edge(authority.issue("better")))))
    until_shown(edged, "better", "turned.test")


def test_private_keys_are_not_told_with_the_reason(edged):
    assert "PRIVATE KEY" not in edged.stderr
    assert "MIG" not in edged.stderr             # how keys begin


# Secrets

def external(name):
    return {"termination": "edge", "externalCertificate": {"name": name}}


def test_a_certificate_from_a_secret(edged, backend, authority):
    address = backend().address
    routes = exposed("one", HOST, address, tls=external("shown"))
    edged.change_routes(document(*routes, secret("shown", authority.issue("from a secret"))))
    until_shown(edged, "from a secret")
    visitors = Visitors(edged)
    edged.write_routes(document(*routes, secret("shown", authority.issue("renewed"))))
    until_shown(edged, "renewed")
    visitors.leave()
    assert visitors.shown == {"from a secret", "renewed"}


@pytest.mark.parametrize("flaw", ["missing", "wrong key", "no key"])
def test_a_route_whose_secret_is_no_good_is_refused_by_name(edged, backend, authority, flaw):
    address = backend().address
    one = authority.issue("of the secret")
    made = secret("", one, key=authority.issue("other", sort="rsa").key_pem if flaw == "wrong key" else "")
    if flaw == "no key":
        made["data"].pop("tls.key")
    name = f"lost-{flaw.replace(' ', '-')}"
    made["metadata"]["name"] = name
    routes = exposed(name, f"{name}.test", address, tls=external(name))
    edged.write_routes(document(*routes, *([] if flaw == "missing" else [made])))
    assert edged.until_said(rf"{name}\b.*not admitted")
    assert edged.shown(f"{name}.test") != "of the secret"
    assert edged.ask_tls(f"{name}.test").status == 503
    edged.write_routes(document(*routes, secret(name, one)))
    until_shown(edged, "of the secret", f"{name}.test")


def test_a_secret_that_is_taken_away_takes_its_route(edged, backend, authority):
    routes = exposed("one", HOST, backend().address, tls=external("shown"))
    edged.change_routes(document(*routes, secret("shown", authority.issue("from a secret"))))
    until_shown(edged, "from a secret")
    edged.write_routes(document(*routes))
    until(lambda: edged.ask_tls(HOST).status == 503, what="the route is not served")


# Folders of PEM files

@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "certificates"
    path.mkdir()
    return path


@pytest.fixture
def from_folder(folder, daemon, backend):
    """Starts a daemon that shows the certificates of the folder; routes carry none."""
    def start():
        address = backend().address
        return daemon(merged(TLS, {"tls": {"certificates": [str(folder)]}}), document(*(
            one for host in (HOST, "two.test", "a.wild.test")
            for one in exposed(host.partition(".")[0], host, address, tls={"termination": "edge"})
        )))

    return start


def put(path, text):
    """As those do who do it well."""
    path.with_name(f".{path.name}.new").write_text(text)
    path.with_name(f".{path.name}.new").rename(path)


def test_a_folder_of_bundles(folder, from_folder, authority):
    put(folder / "one.pem", authority.issue("of the folder", [HOST]).bundle)
    put(folder / "wild.pem", authority.issue("for all", ["*.wild.test"]).bundle)
    edged = from_folder()
    assert [edged.shown(name) for name in (HOST, "a.wild.test")] == ["of the folder", "for all"]
    assert edged.shown("two.test") not in ("of the folder", "for all")
    put(folder / "two.pem", authority.issue("another", ["two.test"]).bundle)
    until_shown(edged, "another", "two.test", 1)
    put(folder / "one.pem", authority.issue("renewed", [HOST]).bundle)
    until_shown(edged, "renewed", HOST, 1)
    (folder / "two.pem").unlink()
    until(lambda: edged.shown("two.test") != "another", what="it is withdrawn")
    assert edged.ask_tls(HOST).status == 200


def test_keys_and_issuers_beside_a_certificate(folder, from_folder, authority):
    one = authority.issue("in parts", [HOST])
    put(folder / "one.pem", one.pem)
    put(folder / "one.pem.key", one.key_pem)
    put(folder / "one.pem.issuer", one.between_pem)
    edged = from_folder()
    with edged.connect_tls(HOST, client_context(authority)) as client:      # who trusts the root alone needs what is between
        assert client.tls.shown == "in parts"


def test_an_ocsp_answer_beside_a_certificate_is_stapled(folder, from_folder, authority):
    """To who asks for it; a new one takes its place."""
    one = authority.issue("stapled", [HOST])
    put(folder / "one.pem", one.bundle)
    (folder / "one.pem.ocsp").write_bytes(authority.vouches(one))
    edged = from_folder()
    for version in ("-tls1_2", "-tls1_3"):
        assert "Cert Status: good" in s_client(edged.address("tls"), "-servername", HOST, "-status", version)
        assert "OCSP response: no response sent" in s_client(edged.address("tls"), "-servername", "two.test", "-status", version)
    def next_update():
        return re.findall("Next Update: (.*)", s_client(edged.address("tls"), "-servername", HOST, "-status"))

    before = next_update()
    (folder / ".new").write_bytes(authority.vouches(one, days=5))
    (folder / ".new").rename(folder / "one.pem.ocsp")
    until(lambda: next_update() != before, what="the new one is stapled")
    (folder / ".new").write_bytes(authority.vouches(one, good=False))
    (folder / ".new").rename(folder / "one.pem.ocsp")
    assert edged.until_said(r"one\.pem\.ocsp.*revoked")


@pytest.mark.parametrize("flaw", ["wrong key", "broken", "no key", "empty"])
def test_a_bad_file_is_named_and_the_one_before_stays(folder, from_folder, authority, flaw):
    put(folder / "one.pem", authority.issue("good", [HOST]).bundle)
    edged = from_folder()
    bad = authority.issue("bad", [HOST])
    put(folder / "one.pem", {
        "wrong key": bad.chain_pem + authority.issue("x", sort="rsa").key_pem, "broken": bad.bundle.replace("MII", "!!!"),
        "no key": bad.chain_pem, "empty": "",
    }[flaw])
    assert edged.until_said(r"one\.pem")
    assert edged.shown(HOST) == "good"
    put(folder / "one.pem", authority.issue("better", [HOST]).bundle)
    until_shown(edged, "better", HOST, 1)


def test_a_route_s_own_certificate_comes_before_those_of_folders(folder, daemon, backend, authority):
    put(folder / "one.pem", authority.issue("of the folder", [HOST, "two.test"]).bundle)
    address = backend().address
    edged = daemon(merged(TLS, {"tls": {"certificates": [str(folder)]}}), document(
        *exposed("one", HOST, address, tls=edge(authority.issue("of the route"))),
        *exposed("two", "two.test", address, tls={"termination": "edge"}),
    ))
    assert (edged.shown(HOST), edged.shown("two.test")) == ("of the route", "of the folder")


# Many of them

def test_thousands_of_certificates_at_the_start(folder, daemon, backend, authority):
    """They are all there when it says that it is ready, at a bounded price each; another one costs no more than itself."""
    for n in range(MANY):
        (folder / f"{n}.pem").write_text(authority.issue(f"number {n}", [f"host{n}.test"]).bundle)
    route = document(*exposed("all", HOST, backend().address, tls={"termination": "edge"}))
    empty, edged = (daemon(merged(TLS, {"tls": {"certificates": paths}}), route) for paths in ([], [str(folder)]))
    assert edged.said(f"{MANY} of {MANY} certificates")
    for n in (0, MANY // 2, MANY - 1):
        assert edged.shown(f"host{n}.test") == f"number {n}"
    each = (edged.anonymous_bytes() - empty.anonymous_bytes()) / MANY
    print(f"{MANY} certificates: {each / 1024:.1f} KiB each of a worker's memory")
    assert each < EACH_MOST_BYTES
    put(folder / "one-more.pem", authority.issue("one more", ["more.test"]).bundle)
    until(lambda: edged.shown("more.test") == "one more", what="one more is shown")


def test_a_new_control_process_shows_the_same(edged, backend, authority):
    """What it keeps on disk holds no keys; it reads them again from where they came."""
    edged.change_routes(document(*exposed("one", HOST, backend().address, tls=edge(authority.issue("kept")))))
    until_shown(edged, "kept")
    visitors = Visitors(edged)
    victim = edged.control_pid()
    os.kill(victim, 9)
    until(lambda: edged.control_pid() not in (0, victim))
    visitors.go_on(100)
    for index in range(2):
        worker = edged.worker_pid(index)
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, 9)
        until(lambda index=index, worker=worker: edged.worker_pid(index) not in (0, worker))
        until(lambda index=index: edged.arena.read_tally(index)["table_version"] > 0)
    until_shown(edged, "kept")
    visitors._over.set()
