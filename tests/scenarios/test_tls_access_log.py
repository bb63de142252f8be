"""What access lines tell of TLS: in HAProxy's words, in formats of one's own and in JSON."""

import json
import re
import ssl

import pytest

from tests.scenarios.harness.accessline import http_line
from tests.scenarios.harness.authority import Authority
from tests.scenarios.harness.objects import document, exposed
from tests.scenarios.harness.settings import TLS
from tests.scenarios.harness.tls import client_context
from tests.scenarios.harness.until import until

HOST = "one.test"
V1_2, V1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
CLIENT = client_context()


def routes(backend):
    return document(*exposed("one", HOST, backend().address, tls={"termination": "edge", "insecureEdgeTerminationPolicy": "Allow"}))


def logging(daemon, backend, **log):
    return daemon({**TLS, "log": log}, routes(backend))


def last(edged, count):
    return until(lambda: len(edged.lines()) >= count and edged.lines()[count - 1], what=f"{count} lines")


def test_the_listener_of_a_haproxy_line_bears_a_tilde(daemon, backend):
    edged = daemon(TLS, routes(backend))
    with edged.connect_tls(HOST, CLIENT) as client:
        client.ask(host=HOST)
    assert http_line(last(edged, 1)).frontend == "tls~"
    edged.ask(HOST)
    assert http_line(last(edged, 2)).frontend == "web"


@pytest.mark.parametrize(("highest", "version", "cipher"), [(V1_2, "TLSv1.2", "ECDHE-"), (V1_3, "TLSv1.3", "TLS_")], ids=["1.2", "1.3"])
def test_a_format_of_ones_own(daemon, backend, highest, version, cipher):
    edged = logging(daemon, backend, format="%ft %[ssl_fc] %sslv %sslc %{+Q}[ssl_fc_sni] %[ssl_fc_protocol]/%[ssl_fc_cipher] %Th %HU")
    with edged.connect_tls("Any.Test", client_context(highest=highest)) as client:
        client.ask("/first", host=HOST)
        client.ask("/second", host=HOST)
    with edged.connect_tls(None, client_context(highest=highest)) as client:
        client.ask("/third", host=HOST)
    edged.ask(HOST)
    match = re.fullmatch(rf'tls~ 1 {version} ({cipher}\S+) "Any\.Test" {version}/(\S+) (\d+) /first', last(edged, 1), re.IGNORECASE)
    assert match, edged.lines()
    assert match[1] == match[2]
    assert int(match[3]) < 5000
    assert re.fullmatch(rf'tls~ 1 {version} {match[1]} "Any\.Test" {version}/{match[1]} 0 /second', last(edged, 2), re.IGNORECASE)
    assert re.fullmatch(rf'tls~ 1 {version} {match[1]} "" {version}/{match[1]} \d+ /third', last(edged, 3))
    assert last(edged, 4) == 'web 0 - - "" -/- 0 /'


def test_what_clients_show(daemon, backend, tmp_path):
    staff = Authority("staff")
    (tmp_path / "staff.pem").write_text(staff.pem)
    ann = staff.issue('an "n"', client=True)
    asking = {"listener": [{**listener, "client_auth": "optional", "client_ca": str(tmp_path / "staff.pem")} for listener in TLS["listener"]
                           if listener.get("mode") == "https"]}
    edged = daemon({**asking, "log": {"format": "%[ssl_c_used] %{+Q}[ssl_c_s_dn(cn)] %[ssl_c_serial,hex]"}}, routes(backend))
    with edged.connect_tls(HOST, client_context(identity=ann, folder=tmp_path)) as client:
        client.ask(host=HOST)
    assert last(edged, 1) == f'1 "an#20#22n#22" {ann.certificate.serial_number:04X}'
    with edged.connect_tls(HOST, CLIENT) as client:
        client.ask(host=HOST)
    assert last(edged, 2) == '0 "" -'


def test_json(daemon, backend):
    edged = logging(daemon, backend, format="json")
    with edged.connect_tls(HOST, client_context(highest=V1_3)) as client:
        client.ask(host=HOST)
    told = json.loads(last(edged, 1))
    assert (told["listener"], told["tls"], told["tls_version"]) == ("tls", True, "TLSv1.3")
    assert told["tls_cipher"].startswith("TLS_")
    edged.ask(HOST)
    told = json.loads(last(edged, 2))
    assert told["tls"] is False
    assert not {"tls_version", "tls_cipher"} & told.keys()
