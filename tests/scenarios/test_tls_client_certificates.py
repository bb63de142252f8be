"""Certificates of clients (openshift-routes.md 7.8): who may come in, and what the endpoint is told. The fields are compared with those
that HAProxy sets for the same certificate."""

import json
import ssl

import pytest
from cryptography.x509.oid import NameOID

from tests.scenarios.harness.authority import Authority
from tests.scenarios.harness.client import Client
from tests.scenarios.harness.objects import document, exposed
from tests.scenarios.harness.peers import free_port, haproxy
from tests.scenarios.harness.tls import client_context
from tests.scenarios.harness.until import until

FIELDS = [
    "X-SSL", "X-SSL-Client-Verify", "X-SSL-Client-Serial", "X-SSL-Client-Version", "X-SSL-Client-SHA1", "X-SSL-Client-DN",
    "X-SSL-Client-CN", "X-SSL-Issuer", "X-SSL-Client-NotBefore", "X-SSL-Client-NotAfter", "X-SSL-Client-DER",
]
STRIPPED = [*FIELDS, "X-SSL-Client-Subject"]
REFERENCE = """
  http-request set-header X-SSL %[ssl_fc]
  http-request set-header X-SSL-Client-Verify %[ssl_c_verify]
  http-request set-header X-SSL-Client-Serial %{+Q}[ssl_c_serial,hex]
  http-request set-header X-SSL-Client-Version %{+Q}[ssl_c_version]
  http-request set-header X-SSL-Client-SHA1 %{+Q}[ssl_c_sha1,hex]
  http-request set-header X-SSL-Client-DN %{+Q}[ssl_c_s_dn]
  http-request set-header X-SSL-Client-CN %{+Q}[ssl_c_s_dn(cn)]
  http-request set-header X-SSL-Issuer %{+Q}[ssl_c_i_dn]
  http-request set-header X-SSL-Client-NotBefore %{+Q}[ssl_c_notbefore]
  http-request set-header X-SSL-Client-NotAfter %{+Q}[ssl_c_notafter]
  http-request set-header X-SSL-Client-DER %{+Q}[ssl_c_der,base64]
"""
V1_2, V1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@pytest.fixture(scope="module")
def staff():
    """Who certifies clients."""
    return Authority("staff")


@pytest.fixture(scope="module")
def identities(staff):
    org = [(NameOID.COUNTRY_NAME, "DE"), (NameOID.ORGANIZATION_NAME, "Example, Inc."), (NameOID.ORGANIZATIONAL_UNIT_NAME, "Ops/Night")]
    return {
        "ann": staff.issue("ann", client=True, subject=org),
        "bob": staff.issue("bob", client=True, sort="rsa"),
        "eve": staff.issue("eve", client=True),
        "umlaut": staff.issue("Jörg \"J\" Müller", client=True, subject=org),
        "expired": staff.issue("expired", client=True, from_day=-10, days=-1),
        "stranger": Authority("strangers").issue("stranger", client=True),
    }


@pytest.fixture(scope="module")
def lists(staff, identities, tmp_path_factory):
    """Files: who certifies, and whom it has revoked."""
    folder = tmp_path_factory.mktemp("lists")
    (folder / "revoked.pem").write_text(staff.revocations(identities["eve"]))
    # Who certifies: the intermediate too, as clients may show their own certificate alone.
    (folder / "staff.ca").write_text(staff.pem + staff.intermediate.pem)
    return folder


def listeners(lists, *modes):
    return {"listener": [{"name": "web", "address": "127.0.0.1:0"}, *(
        {"name": mode, "address": "127.0.0.1:0", "mode": "https", "client_auth": mode, "client_ca": str(lists / "staff.ca")}
        for mode in modes
    )]}


@pytest.fixture(scope="module")
def edged(lasting_daemon, lasting_backend, lists):
    tls = {"termination": "edge", "insecureEdgeTerminationPolicy": "Allow"}
    settings = listeners(lists, "none", "optional", "required")
    ca = {"address": "127.0.0.1:0", "mode": "https", "client_auth": "required", "client_ca": str(lists / "staff.ca")}
    settings["listener"] += [
        {"name": "revoking", **ca, "client_crl": str(lists / "revoked.pem")},
        {"name": "filtering", **ca, "client_filter": "/CN=(ann|eve)$"},
    ]
    return lasting_daemon(settings, document(*exposed("one", "one.test", lasting_backend().address, tls=tls)))


@pytest.fixture(scope="module")
def reference(lasting_backend, lists, authority, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference")
    (folder / "shown.pem").write_text(authority.issue("shown").bundle)
    port = free_port()
    program = haproxy(folder / "haproxy", f"""
frontend one
  bind 127.0.0.1:{port} ssl crt {folder}/shown.pem ca-file {lists}/staff.ca verify optional
  {REFERENCE}
  default_backend one
backend one
  server one {lasting_backend().address}
""", [port])
    yield "127.0.0.1", port
    program.stop()


@pytest.fixture
def shows(identities, tmp_path):
    """shows(name, version) is the context of a client that shows that certificate; "": none."""
    def context(name, version=V1_3):
        return client_context(identity=identities[name] if name else None, folder=tmp_path, highest=version)

    return context


def enters(edged, listener, context):
    """The answer to a request; None: the handshake was refused. In TLS 1.3 a client learns that only when it reads."""
    try:
        with edged.connect_tls("one.test", context, name=listener) as client:
            return client.ask(host="one.test")
    except ssl.SSLError as why:
        if "ALERT" not in str(why):
            raise
    except (ConnectionError, EOFError):
        pass
    return None


def bare(value):
    """Without the quotes that texts are sent in; HAProxy leaves them out."""
    return value[1:-1].replace('\\"', '"') if value[:1] == value[-1:] == '"' else value


def told(answer):
    """The fields of ours that the endpoint was sent."""
    ours = {name.lower(): name for name in STRIPPED}
    return {ours[name]: bare(value) for name, value in json.loads(answer.body)["fields"] if name in ours}


@pytest.mark.parametrize("version", [V1_2, V1_3])
@pytest.mark.parametrize(("listener", "name", "admitted"), [
    ("none", "", True), ("none", "ann", True), ("none", "stranger", True),
    ("optional", "", True), ("optional", "ann", True), ("optional", "bob", True), ("optional", "stranger", False),
    ("optional", "expired", False), ("optional", "eve", True),
    ("required", "", False), ("required", "ann", True), ("required", "stranger", False), ("required", "expired", False),
    ("revoking", "ann", True), ("revoking", "eve", False),
])
def test_who_may_come_in(edged, shows, listener, name, admitted, version):
    answer = enters(edged, listener, shows(name, version))
    assert (answer is not None and answer.status == 200) == admitted
    edged.until_idle()


@pytest.mark.parametrize("name", ["ann", "bob", "umlaut"])
def test_the_endpoint_is_told_what_haproxy_tells(edged, reference, shows, name):
    with Client(reference) as client:
        client.start_tls(shows(name))
        expected = told(client.ask(host="one.test"))
    assert list(expected) == FIELDS
    answer = enters(edged, "optional", shows(name))
    assert told(answer) == expected
    assert ["x-ssl-client-cn", f'"{expected["X-SSL-Client-CN"]}"'] in json.loads(answer.body)["fields"] or name == "umlaut"


def test_the_endpoint_is_told_that_there_is_none(edged, reference, shows):
    with Client(reference) as client:
        client.start_tls(shows(""))
        expected = told(client.ask(host="one.test"))
    found = told(enters(edged, "optional", shows("")))
    assert found["X-SSL"] == "1"
    assert {name: value for name, value in found.items() if value} == {name: value for name, value in expected.items() if value}


def test_nothing_is_told_where_none_is_asked_for(edged, shows):
    assert told(enters(edged, "none", shows("ann"))) == {}


@pytest.mark.parametrize("spelled", [str, str.lower, str.upper])
@pytest.mark.parametrize("listener", ["web", "none", "optional", "required"])
def test_what_a_client_says_of_itself_is_taken_away(edged, shows, listener, spelled):
    forged = {spelled(name).replace("-", "_"): "forged" for name in STRIPPED}
    if listener == "web":
        answer = edged.ask("one.test", **forged)
    else:
        with edged.connect_tls("one.test", shows("ann"), name=listener) as client:
            answer = client.ask(host="one.test", **forged)
    assert answer.status == 200
    assert "forged" not in told(answer).values()


@pytest.mark.parametrize("listener", ["web", "none", "optional", "required"])
def test_nor_can_it_be_said_with_underscores(edged, shows, listener):
    """Endpoints that make variables of names read both as HTTP_X_SSL_CLIENT_DN."""
    for spelled in (str.lower, str.upper):
        lines = "".join(f"{spelled(name).replace('-', '_', count)}: forged\r\n" for name in STRIPPED for count in (1, 3))
        with edged.connect() if listener == "web" else edged.connect_tls("one.test", shows("ann"), name=listener) as client:
            client.send(f"GET / HTTP/1.1\r\nHost: one.test\r\n{lines}X_SSLs: stays\r\n\r\n".encode())
            answer = client.answer()
        assert answer.status == 200
        assert b"forged" not in answer.body
        assert ["x_ssls", "stays"] in json.loads(answer.body)["fields"]


def test_it_is_left_where_that_is_wanted(daemon, backend, lists):
    edged = daemon(listeners(lists, "none"), document(*exposed("one", "one.test", backend().address, tls={"termination": "edge"})),
                   {"ROUTER_MUTUAL_TLS_HEADER_FILTER": "false"})
    assert told(edged.ask_tls("one.test", name="none", X_SSL_Client_CN="believed")) == {"X-SSL-Client-CN": "believed"}


@pytest.mark.parametrize(("name", "status"), [("ann", 200), ("eve", 200), ("bob", 403)])
def test_a_filter_of_subjects(edged, shows, name, status):
    answer = enters(edged, "filtering", shows(name))
    assert answer.status == status


def test_every_request_of_a_connection_is_told(edged, shows, identities):
    with edged.connect_tls("one.test", shows("ann"), name="required") as client:
        for _ in range(3):
            assert told(client.ask(host="one.test"))["X-SSL-Client-CN"] == "ann"


def test_a_resumed_connection_tells_the_same(edged, shows):
    """Nothing is asked of the client then; what it has shown before holds."""
    for version in (V1_2, V1_3):
        context = shows("ann", version)
        with edged.connect_tls("one.test", context, name="required") as client:
            before = told(client.ask(host="one.test"))
            session = client.tls.session
        with edged.connect_tls("one.test", context, name="required", session=session) as client:
            assert told(client.ask(host="one.test")) == before


@pytest.mark.parametrize("version", [V1_2, V1_3])
def test_a_session_of_a_listener_that_asks_for_nothing_opens_no_other(edged, shows, version):
    """Who was let in without a certificate has none when it resumes elsewhere."""
    context = shows("", version)
    with edged.connect_tls("one.test", context, name="none") as client:
        assert client.ask(host="one.test").status == 200
        session = client.tls.session
    try:
        with edged.connect_tls("one.test", context, name="required", session=session) as client:
            assert client.ask(host="one.test").status != 200
    except (OSError, EOFError):
        pass


def test_a_list_of_revoked_ones_changes(daemon, backend, lists, staff, identities, shows, tmp_path):
    path = tmp_path / "revoked.pem"
    path.write_text(staff.revocations())
    settings = listeners(lists, "required")
    settings["listener"][1]["client_crl"] = str(path)
    edged = daemon(settings, document(*exposed("one", "one.test", backend().address, tls={"termination": "edge"})))
    assert enters(edged, "required", shows("ann")) is not None
    (tmp_path / "new").write_text(staff.revocations(identities["ann"]))
    (tmp_path / "new").rename(path)
    until(lambda: enters(edged, "required", shows("ann")) is None, what="ann is refused")
    assert enters(edged, "required", shows("bob")).status == 200


def test_the_router_s_variables(daemon, backend, lists, shows):
    edged = daemon({"listener": [{"name": "tls", "address": "127.0.0.1:0", "mode": "https"}]}, document(
        *exposed("one", "one.test", backend().address, tls={"termination": "edge"})
    ), {
        "ROUTER_MUTUAL_TLS_AUTH": "required", "ROUTER_MUTUAL_TLS_AUTH_CA": str(lists / "staff.ca"),
        "ROUTER_MUTUAL_TLS_AUTH_CRL": str(lists / "revoked.pem"), "ROUTER_MUTUAL_TLS_AUTH_FILTER": "/CN=ann",
    })
    assert enters(edged, "tls", shows("")) is None
    assert enters(edged, "tls", shows("eve")) is None
    assert enters(edged, "tls", shows("bob")).status == 403
    assert enters(edged, "tls", shows("ann")).status == 200
