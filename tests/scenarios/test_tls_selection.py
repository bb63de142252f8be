"""Which certificate is shown, and which route answers then (openshift-routes.md 6.3 and 7.3): asked of the daemon, and of HAProxy as
the router configures it."""

import json
import ssl

import pytest

from tests.scenarios.harness.backend import over_tls
from tests.scenarios.harness.objects import certificate_of, document, exposed
from tests.scenarios.harness.tls import client_context, client_hello, server_context
from tests.scenarios.harness.twin import Twin, Way


def says(name):
    """A backend that answers with its name and what it was asked."""
    def script(peer):
        while True:
            request = peer.request()
            peer.reply(json.dumps({"name": name, "target": request.target, "fields": request.fields}).encode())

    return script


@pytest.fixture(scope="module")
def ways(lasting_backend, authority, tmp_path_factory):
    inside = server_context(authority.issue("endpoint"), tmp_path_factory.mktemp("endpoint"))

    def way(host, termination, *, name="", show="", **how):
        encrypted = termination in ("reencrypt", "passthrough")
        script = says(name or host)
        address = lasting_backend(over_tls(inside, script) if encrypted else script).address
        # What is written inside certificates must not matter.
        return Way(host, address, termination, certificate=authority.issue(show, ["misleading.test", "bare.test"]) if show else None, **how)

    return [
        way("shop.test", "edge", show="of shop"),
        way("api.test", "reencrypt", show="of api"),
        way("bare.test", "edge"),
        way("baresecure.test", "reencrypt"),
        way("plain.test", ""),
        way("*.wild.test", "edge", show="of wild"),
        way("exact.wild.test", "edge", show="of exact"),
        way("bare.wild.test", "edge"),
        way("raw.test", "passthrough"),
        way("*.raws.test", "passthrough"),
        way("one.raws.test", "passthrough"),
        way("paths.test", "edge", name="root", show="of root"),
        way("paths.test", "edge", name="deep", path="/deep"),
        way("half.test", "edge", name="public", insecure="Allow"),
        way("half.test", "", name="plain", path="/plain"),
    ]


def settings(default, folder, **tls):
    chain, key = default.write(folder)
    (folder / "default.pem").write_text(key.read_text() + chain.read_text())
    return {
        "listener": [{"name": "web", "address": "127.0.0.1:0"}, {"name": "tls", "address": "127.0.0.1:0", "mode": "https"}],
        "tls": {"default_certificate": str(folder / "default.pem"), **tls}, "router": {"allow_wildcard_routes": True},
    }


def objects(ways):
    written = []
    for number, way in enumerate(ways):
        tls = None
        if way.termination:
            shown = certificate_of(way.certificate) if way.certificate else {}
            tls = {"termination": way.termination, "insecureEdgeTerminationPolicy": way.insecure or None, **shown}
        host = way.host.replace("*.", "any.")
        written += exposed(f"way{number:02}", host, way.endpoint, path=way.path, tls=tls, wildcard=way.host.startswith("*."))
    return document(*written)


@pytest.fixture(scope="module", params=["edged", "haproxy"])
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def front(kind, ways, lasting_daemon, authority, tmp_path_factory):
    """front(strict) is somebody with these routes."""
    folder = tmp_path_factory.mktemp("front")
    default = authority.issue("the default", ["misleading.test"])
    started = {}

    def one(strict):
        if strict not in started:
            if kind == "edged":
                started[strict] = lasting_daemon(settings(default, folder, strict_sni=strict), objects(ways))
            else:
                started[strict] = Twin(folder / f"strict-{strict}", ways, default, "strict-sni" if strict else "")
        return started[strict]

    yield one
    if kind == "haproxy":
        for twin in started.values():
            twin.stop()


@pytest.fixture
def lax(front):
    return front(False)


@pytest.fixture
def strict(front):
    return front(True)


def name_of(answer):
    assert answer.status == 200
    return json.loads(answer.body)["name"]


@pytest.mark.parametrize(("asked", "shown"), [
    ("shop.test", "of shop"), ("SHOP.test", "of shop"), ("api.test", "of api"),                   # a route that carries one
    ("a.wild.test", "of wild"), ("exact.wild.test", "of exact"), ("A.Wild.Test", "of wild"),      # exact ones first
    ("a.b.wild.test", "the default"), ("wild.test", "the default"),                               # one label, neither two nor none
    ("bare.test", "the default"), ("baresecure.test", "the default"),                             # a route that carries none
    ("unknown.test", "the default"), ("misleading.test", "the default"),                          # names inside are nobody's business
    ("plain.test", "the default"), (None, "the default"),
    ("raw.test", "endpoint"), ("RAW.test", "endpoint"), ("a.raws.test", "endpoint"), ("one.raws.test", "endpoint"),
    ("a.b.raws.test", "the default"), ("sub.raw.test", "the default"),
])
def test_which_certificate_is_shown(lax, asked, shown):
    assert lax.shown(asked) == shown


@pytest.mark.parametrize("highest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_it_is_the_same_in_every_version(lax, highest):
    context = client_context(highest=highest)
    assert [lax.shown(name, context) for name in ("shop.test", "a.wild.test", None)] == ["of shop", "of wild", "the default"]


@pytest.mark.parametrize(("asked", "shown"), [
    ("shop.test", "of shop"), ("a.wild.test", "of wild"), ("raw.test", "endpoint"), (None, "the default"),
])
def test_strict_names_that_are_served(strict, asked, shown):
    assert strict.shown(asked) == shown


@pytest.mark.parametrize("asked", ["unknown.test", "bare.test", "plain.test", "a.b.wild.test"])
@pytest.mark.parametrize("highest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_strict_names_that_are_refused(strict, asked, highest):
    with pytest.raises(ssl.SSLError, match=r"ALERT|UNRECOGNIZED_NAME"):
        strict.shown(asked, client_context(highest=highest))


@pytest.mark.parametrize(("host", "answered"), [
    ("shop.test", "shop.test"), ("api.test", "api.test"), ("bare.test", "bare.test"), ("baresecure.test", "baresecure.test"),
    ("a.wild.test", "*.wild.test"), ("exact.wild.test", "exact.wild.test"),
    ("SHOP.test", "shop.test"), ("shop.test.", "shop.test"), ("shop.test:8443", "shop.test"),
])
@pytest.mark.parametrize("asked", ["the same", None, "unknown.test", "shop.test"])
def test_the_host_field_picks_the_route_whatever_name_was_asked_for(lax, host, answered, asked):
    server_name = host.partition(":")[0].rstrip(".") if asked == "the same" else asked
    assert name_of(lax.ask_tls(host, server_name=server_name)) == answered


def test_one_connection_reaches_many_hosts(lax):
    with lax.connect_tls("shop.test") as client:
        assert [name_of(client.ask(host=host)) for host in ("shop.test", "api.test", "bare.test")] == ["shop.test", "api.test", "bare.test"]


@pytest.mark.parametrize(("target", "answered"), [("/", "root"), ("/deep", "deep"), ("/deep/er", "deep"), ("/deeper", "root")])
def test_paths_of_a_host(lax, target, answered):
    with lax.connect_tls("paths.test") as client:
        assert client.tls.shown == "of root"
        assert name_of(client.ask(target, "paths.test")) == answered


@pytest.mark.parametrize("host", ["plain.test", "unknown.test", "raw.test", "a.raws.test", "a.b.wild.test"])
def test_what_no_terminated_route_serves_is_answered_inside_tls(lax, host):
    """A plain route is not served there, nor one whose TLS is not ended here."""
    answer = lax.ask_tls(host, server_name=None)
    assert answer.status == 503


@pytest.mark.parametrize(("target", "answered"), [("/", "public"), ("/plain", "public"), ("/plain/x", "public")])
def test_a_plain_route_hides_nothing_inside_tls(lax, target, answered):
    assert name_of(lax.ask_tls("half.test", target)) == answered


@pytest.mark.parametrize(("asked", "answered"), [
    ("raw.test", "raw.test"), ("one.raws.test", "one.raws.test"), ("two.raws.test", "*.raws.test"), ("RAW.TEST", "raw.test"),
])
def test_a_passthrough_route_takes_the_connection_whatever_its_host_field_says(lax, asked, answered):
    for host in (asked, "shop.test"):
        assert name_of(lax.ask_tls(host, server_name=asked)) == answered


def test_names_of_passthrough_routes_are_compared_as_they_are(lax):
    """Neither a dot at their end nor a port belongs to them."""
    for asked in (b"raw.test.", b"raw.test:443"):
        placeholder = b"x" * len(asked)
        with lax.connect("tls") as client:
            client.send(client_hello(client_context(highest=ssl.TLSVersion.TLSv1_2), placeholder.decode()).replace(placeholder, asked))
            client.take_until(b"the default")    # the certificate is not yet encrypted in this version


# How the daemon is better, as the rules allow: these are asked of it alone.

@pytest.fixture(scope="module")
def covered(lasting_daemon, lasting_backend, authority, tmp_path_factory):
    """A wildcard passthrough route over hosts with TLS routes of their own."""
    inside = server_context(authority.issue("endpoint"), tmp_path_factory.mktemp("endpoint"))
    raw = lasting_backend(over_tls(inside, says("raw"))).address
    again = lasting_backend(over_tls(inside, says("reencrypt"))).address
    edge = lasting_backend(says("edge")).address
    return lasting_daemon(settings(authority.issue("the default"), tmp_path_factory.mktemp("default")), document(
        *exposed("raw", "any.raws.test", raw, tls={"termination": "passthrough"}, wildcard=True),
        *exposed("edge", "edge.raws.test", edge, tls={"termination": "edge", **certificate_of(authority.issue("of edge"))}),
        *exposed("again", "again.raws.test", again, tls={"termination": "reencrypt", **certificate_of(authority.issue("of again"))}),
        *exposed("second", "sorted.test", edge, path="/b", tls={"termination": "edge", **certificate_of(authority.issue("of second"))}),
        *exposed("first", "sorted.test", edge, path="/a", tls={"termination": "edge", **certificate_of(authority.issue("of first"))}),
    ))


@pytest.mark.parametrize(("asked", "shown", "answered"), [
    ("other.raws.test", "endpoint", "raw"), ("edge.raws.test", "of edge", "edge"), ("again.raws.test", "of again", "reencrypt"),
])
def test_a_host_of_its_own_stays_out_of_a_wildcard_passthrough_route(covered, asked, shown, answered):
    with covered.connect_tls(asked) as client:
        assert client.tls.shown == shown
        assert name_of(client.ask(host=asked)) == answered


def test_of_several_certificates_of_a_host_the_last_by_name_is_shown(covered):
    """By the names of their routes, whatever paths these have."""
    assert covered.shown("sorted.test") == "of second"
    for path in ("/a", "/b"):
        assert name_of(covered.ask_tls("sorted.test", path)) == "edge"
