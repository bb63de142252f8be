"""Access lines: in the forms that the tools of others read, to every target, and never in the way of traffic."""

import json
import os
import re
import signal
import socket
import threading

import pytest

from tests.scenarios.harness.accessline import http_line, tcp_line
from tests.scenarios.harness.backend import answer_bytes
from tests.scenarios.harness.client import get
from tests.scenarios.harness.until import until


def test_a_line_of_haproxys_http_format(site):
    def answers(peer):
        peer.request()
        peer.send(answer_bytes(b"x" * 1000, "201 Created"))

    shop = site(answers)
    client = shop.connect()
    client.send(shop.request("/a/b?c=d&e", "POST", b"body"))
    answer = client.answer()
    text = shop.line(client)
    line = http_line(text)
    assert (line.frontend, line.backend, line.server) == ("web", shop.host, shop.backend.address)
    assert (line.status, line.code, line.request) == (201, "----", "POST /a/b?c=d&e HTTP/1.1")
    assert line.bytes == len(answer.raw_head) + 1000
    assert (line.request_cookie, line.response_cookie) == ("-", "-")
    times = (line.request_ms, line.wait_ms, line.connect_ms, line.response_ms, line.active_ms)
    assert all(0 <= ms < 5000 for ms in times)
    assert line.retries == "0"


def test_a_line_of_haproxys_tcp_format(daemon, backend):
    edged = daemon(
        {"listener": [{"name": "tcp", "address": "127.0.0.1:0", "mode": "tcp", "route": "db"}]},
        [{"name": "db", "to": [backend(lambda peer: peer.send(peer.take(5) * 2)).address]}],
    )
    with edged.connect("tcp") as client:
        client.send(b"hello")
        assert client.rest() == b"hellohello"
    line = tcp_line(edged.line_of(client))
    assert (line.frontend, line.backend, line.bytes, line.code) == ("tcp", "db", 10, "--")


def test_what_clients_write_stays_on_its_line(site):
    """Nobody forges a line, nor breaks the quotes."""
    shop = site()
    for target in ('/"quoted"', "/with{braces}|", "/%0d%0a", "/\x7fdel"):
        client = shop.connect()
        client.send(shop.request(target))
        client.head()
        line = http_line(shop.line(client))
        assert "\n" not in line.request
        assert '"' not in line.request


def test_a_bad_request_is_logged_as_such(site):
    shop = site()
    client = shop.connect()
    client.send(b"\x16\x03\x01 hello\r\n\r\n")
    assert client.answer().status == 400
    line = http_line(shop.line(client))
    assert (line.status, line.code, line.server, line.request) == (400, "PR--", "<NOSRV>", "<BADREQ>")


def test_a_sticky_cookie_shows_in_the_line(site, backend):
    one, two = backend(), backend()
    shop = site(to=[{"address": one.address, "cookie": "one"}, {"address": two.address, "cookie": "two"}], cookie="STAY")
    client = shop.connect()
    set_cookie = client.ask("/", shop.host).get("set-cookie") or ""
    assert re.match(r"STAY=(one|two);", set_cookie)
    assert http_line(shop.line(client)).code == "--NI"
    value = set_cookie.partition(";")[0]
    for _ in range(4):
        again = shop.connect()
        assert again.ask("/", shop.host, Cookie=value).get("set-cookie") is None
        assert http_line(shop.line(again)).code == "--VN"
    assert (len(one.requests), len(two.requests)) in ((5, 0), (0, 5))


def test_json_lines(daemon, backend):
    edged = daemon({"log": {"format": "json"}}, [{"host": "*", "to": [backend().address]}])
    for target in ("/a", '/"b"', "/ü".encode().decode("latin-1")):
        with edged.connect() as client:
            client.send(f"GET {target} HTTP/1.1\r\nHost: any.test\r\n\r\n".encode("latin-1"))
            client.head()
    until(lambda: len(edged.lines()) == 3)
    told = [json.loads(line) for line in edged.lines()]
    assert [one["status"] for one in told[:2]] == [200, 200]
    assert any("/a" in str(value) for value in told[0].values())


# ---- targets


def test_a_rotated_file_is_opened_anew_at_sigusr1(daemon, backend, tmp_path):
    edged = daemon({"worker": {"count": 2}}, [{"host": "*", "to": [backend().address]}])
    get(edged.address(), "/before")
    assert edged.line("/before")
    rotated = tmp_path / "rotated.log"
    edged.access_log.rename(rotated)
    edged.process.send_signal(signal.SIGUSR1)
    until(edged.access_log.exists, what="the file is there again")

    def logged_anew(n: int) -> bool:
        get(edged.address(), f"/after-{n}")
        return any(f"/after-{n} " in line for line in edged.lines())

    for n in range(8):                           # of both workers
        until(lambda n=n: logged_anew(n))
    assert "/before" in rotated.read_text()


def test_no_line_is_lost_at_a_rotation(daemon, backend, tmp_path):
    edged = daemon(routes=[{"host": "*", "to": [backend().address]}])
    asked = 0
    for n in range(5):
        for _ in range(100):
            assert get(edged.address(), f"/{asked}").status == 200
            asked += 1
        edged.access_log.rename(tmp_path / f"rotated-{n}")
        edged.process.send_signal(signal.SIGUSR1)
        until(edged.access_log.exists)
    files = [*(tmp_path / f"rotated-{n}" for n in range(5)), edged.access_log]
    def logged() -> list[str]:
        return re.findall(r'"GET /(\d+) ', "".join(file.read_text() for file in files))

    until(lambda: len(logged()) >= asked)
    assert sorted(map(int, logged())) == list(range(asked))


@pytest.fixture(params=["udp", "unix"])
def syslog(request, tmp_path):
    """A syslog server: its socket, and what to write in the settings."""
    if request.param == "udp":
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 0))
        target = f"syslog:127.0.0.1:{sock.getsockname()[1]}"
    else:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sock.bind(str(tmp_path / "log"))
        target = f"syslog:{tmp_path}/log"
    sock.settimeout(15)
    yield sock, target
    sock.close()


def test_syslog_of_rfc_3164(daemon, backend, syslog):
    sock, target = syslog
    edged = daemon({"log": {"target": target, "facility": "local3", "tag": "shop"}}, [{"host": "*", "to": [backend().address]}])
    get(edged.address(), "/to-syslog")
    message = sock.recv(65536).decode()
    found = re.fullmatch(r"<(\d+)>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d (?:(\S+) )?shop\[\d+\]: (.*?)\n?", message)
    assert found, message
    assert int(found[1]) == 19 * 8 + 6
    assert http_line(found[3]).request == "GET /to-syslog HTTP/1.1"


def test_syslog_of_rfc_5424(daemon, backend, syslog):
    sock, target = syslog
    edged = daemon({"log": {"target": target, "rfc": "5424"}}, [{"host": "*", "to": [backend().address]}])
    get(edged.address(), "/to-syslog")
    message = sock.recv(65536).decode()
    found = re.fullmatch(r"<(\d+)>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d) \S+ edged \d+ \S+ - (.*?)\n?", message)
    assert found, message
    assert int(found[1]) == 17 * 8 + 6
    assert http_line(found[2]).request == "GET /to-syslog HTTP/1.1"


def test_a_syslog_server_that_restarts_is_found_again(daemon, backend, tmp_path):
    path = tmp_path / "log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as first:
        first.bind(str(path))
        first.settimeout(15)
        edged = daemon({"log": {"target": f"syslog:{path}"}}, [{"host": "*", "to": [backend().address]}])
        get(edged.address(), "/1")
        assert b"/1" in first.recv(65536)
    path.unlink()
    get(edged.address(), "/lost")
    edged.until_said("access lines are being lost")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as second:
        second.bind(str(path))
        second.settimeout(0.2)

        def heard() -> bool:
            get(edged.address(), "/2")
            try:
                return bool(second.recv(65536))
            except TimeoutError:
                return False

        until(heard)
        edged.until_said(r"access lines flow again; \d+ were lost")


def _stuck_pipe(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


def test_a_target_that_takes_nothing_loses_lines_and_never_traffic(daemon, backend, tmp_path):
    """A full pipe that nobody reads."""
    path = _stuck_pipe(tmp_path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        edged = daemon(
            {"log": {"target": f"file:{path}", "ring_bytes": 65536}, "worker": {"count": 1}}, [{"host": "*", "to": [backend().address]}]
        )
        with edged.connect() as client:
            until(lambda: client.ask("/" + "x" * 500).status == 200 and edged.arena.totals()["log_dropped"] > 100, 60)
            assert client.ask("/still").status == 200
        edged.until_said("access lines are being lost")
    finally:
        os.close(reader)


def test_lines_on_stderr(daemon, backend):
    edged = daemon({"log": {"target": "stderr"}}, [{"host": "*", "to": [backend().address]}])
    get(edged.address(), "/to-stderr")
    told = edged.until_said("GET /to-stderr ")
    assert http_line(told).status == 200


def test_no_lines_at_all(daemon, backend):
    edged = daemon({"log": {"target": "off"}}, [{"host": "*", "to": [backend().address]}])
    for _ in range(20):
        assert get(edged.address(), "/unlogged").status == 200
    assert not edged.said("unlogged")
    assert not edged.access_log.exists()


def test_every_request_has_its_line_under_load(daemon, backend):
    edged = daemon({"worker": {"count": 2}}, [{"host": "*", "to": [backend().address]}])

    def asks(n: int) -> None:
        with edged.connect() as client:
            for i in range(200):
                assert client.ask(f"/{n}-{i}").status == 200

    threads = [threading.Thread(target=asks, args=(n,)) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until(lambda: len(edged.lines()) == 2000)
    assert {http_line(line).request for line in edged.lines()} == {f"GET /{n}-{i} HTTP/1.1" for n in range(10) for i in range(200)}
