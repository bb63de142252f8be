"""Access lines: HAProxy's formats to the letter (http-edge-behaviour.md 10), and JSON."""

import json
import os
import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.doors.accesslog_doors import LINE_MOST, Line, new_zone

WHEN_US = 1_795_320_745_123_456                  # 2026-11-22T04:12:25.123456Z

FACTS: dict[str, Any] = {
    "client_ip": "192.0.2.7", "client_port": 40000, "frontend": "public", "backend": "be_http:shop:cart",
    "server": "pod:cart-1:cart:10.1.2.3:8080", "method": "GET", "target": "/a?b=c", "minor": 1, "status": 200, "accept_us": WHEN_US,
    "bytes_out": 5120, "bytes_in": 77,
    "timers": (1, 2, 3, 4, 10), "counts": (5, 4, 3, 2, 1, 0), "retries": 0, "termination": "--VN", "host": "shop.example.com",
    "route": "shop/cart",
}


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    new_zone()
    yield
    monkeypatch.undo()
    new_zone()


def http(**changed: Any) -> str:
    return Line(**{**FACTS, **changed}).format().decode("ascii")


def as_json(**changed: Any) -> dict[str, Any]:
    line = Line(**{**FACTS, **changed}).format(json=True)
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
    value: dict[str, Any] = json.loads(line)
    return value


# ---- HTTP


def test_an_http_line() -> None:
    assert http() == (
        "192.0.2.7:40000 [22/Nov/2026:04:12:25.123] public be_http:shop:cart/pod:cart-1:cart:10.1.2.3:8080 1/2/3/4/10 200 5120 - - --VN "
        '5/4/3/2/0 1/0 "GET /a?b=c HTTP/1.1"\n'
    )


def test_a_bad_request() -> None:
    assert http(method="", target="", backend="", server="", status=400, termination="PR--", timers=(-1, -1, -1, -1, 0), bytes_out=0,
                counts=(1, 1, 0, 0, 0, 0)) == (
        '192.0.2.7:40000 [22/Nov/2026:04:12:25.123] public public/<NOSRV> -1/-1/-1/-1/0 400 0 - - PR-- 1/1/0/0/0 0/0 "<BADREQ>"\n'
    )


def test_tls_is_marked_at_the_frontend_alone() -> None:
    assert " public~ public/<NOSRV> " in http(tls=True, backend="", server="")


def test_a_client_that_left_has_no_status() -> None:
    assert " -1/5/-1/-1/9 -1 0 - - CQ-- " in http(status=-1, termination="CQ--", timers=(-1, 5, -1, -1, 9), bytes_out=0)


def test_redispatch_is_marked_before_the_retries() -> None:
    assert " 5/4/3/2/+3 1/0 " in http(retries=3, redispatched=True)
    assert " 5/4/3/2/3 1/0 " in http(retries=3)


def test_letters_that_were_not_set_are_dashes() -> None:
    assert " - - ---- " in http(termination="")


def test_clients_of_other_families() -> None:
    assert http(client_ip="2001:db8::1").startswith("2001:db8::1:40000 [")
    assert http(client_ip="", client_port=0).startswith("unix:0 [")


def test_http_1_0() -> None:
    assert http(minor=0).endswith(' "GET /a?b=c HTTP/1.0"\n')


def test_numbers_at_their_ends() -> None:
    line = http(bytes_out=2**64 - 1, counts=(2**32 - 1,) * 6, retries=65535, timers=(2**31 - 1, 0, -1, 9, 10))
    assert " 2147483647/0/-1/9/10 200 18446744073709551615 - - --VN " in line
    assert " 4294967295/4294967295/4294967295/4294967295/65535 4294967295/4294967295 " in line


@pytest.mark.parametrize(("target", "written"), [
    ('/"', "/#22"), ("/#", "/#23"), ("/\x7f", "/#7F"), ("/\r\n1.2.3.4:5 [", "/#0D#0A1.2.3.4:5 ["), ("/{|}\\", "/{|}\\"), ("/\0", "/#00"),
    ("/ü", "/#C3#BC"), ("/ ~", "/ ~"),
])
def test_what_a_client_sends_cannot_leave_its_quotes(target: str, written: str) -> None:
    assert http(target=target).endswith(f' "GET {written} HTTP/1.1"\n')


def test_a_name_cannot_become_two_fields() -> None:
    assert " be#20x#0A/s#22y 1/2/3/4/10 " in http(backend="be x\n", server='s"y')


def test_a_target_is_cut_at_1023_characters() -> None:
    assert http(target="/" + "x" * 1022).endswith("x HTTP/1.1\"\n")
    line = http(target="/" + "x" * 1022 + "y" * 100)
    assert line.endswith("x HTTP/1.1\"\n")
    assert line.count("x") == 1022


def test_every_byte_can_be_told_from_the_line() -> None:
    every = bytes(range(256))
    line = Line(**{**FACTS, "target": every}).format().decode("ascii")
    written = line[line.index('"GET ') + 5:-len(' HTTP/1.1"\n')]
    back = re.sub(rb"#([0-9A-F]{2})", lambda match: bytes([int(match[1], 16)]), written.encode())
    assert back == every


# ---- TCP


def test_a_tcp_line() -> None:
    assert http(tcp=True, termination="sD--") == (
        "192.0.2.7:40000 [22/Nov/2026:04:12:25.123] public be_http:shop:cart/pod:cart-1:cart:10.1.2.3:8080 2/3/10 5120 sD 5/4/3/2/0 1/0\n"
    )


def test_a_tcp_line_without_backend() -> None:
    assert " public public/<NOSRV> -1/-1/0 0 PR 5/4/3/2/0 1/0\n" in http(
        tcp=True, backend="", server="", termination="PR", timers=(-1, -1, -1, -1, 0), bytes_out=0)


# ---- dates


def test_dates_are_local_and_follow_summer_time() -> None:
    os.environ["TZ"] = "Europe/Berlin"
    new_zone()
    spring = int(datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC).timestamp()) * 1_000_000
    assert "[29/Mar/2026:01:59:59.999]" in http(accept_us=spring + 999_999)
    assert "[29/Mar/2026:03:00:00.000]" in http(accept_us=spring + 1_000_000)
    assert "[29/Mar/2026:01:59:59.000]" in http(accept_us=spring)


def test_seconds_that_share_a_place_in_the_cache() -> None:
    for second in (0, 16, 0, 1, 17, 33, 1, 16):
        assert f":04:{12 + (25 + second) // 60:02d}:{(25 + second) % 60:02d}.123]" in http(accept_us=WHEN_US + second * 1_000_000)


def test_the_very_first_second() -> None:
    assert "[01/Jan/1970:00:00:00.001]" in http(accept_us=1000)


# ---- JSON


def test_a_json_line() -> None:
    assert as_json() == {
        "time": "2026-11-22T04:12:25.123Z", "mode": "http", "client": "192.0.2.7", "client_port": 40000, "listener": "public", "tls": False,
        "route": "shop/cart", "backend": "be_http:shop:cart", "endpoint": "pod:cart-1:cart:10.1.2.3:8080",
        "bytes_in": 77, "bytes_out": 5120, "timers": {"queue_ms": 2, "connect_ms": 3, "request_ms": 1, "response_ms": 4, "total_ms": 10},
        "termination": "--VN", "retries": 0, "redispatched": False,
        "connections": {"process": 5, "listener": 4, "backend": 3, "endpoint": 2}, "queue": {"endpoint": 1, "backend": 0},
        "status": 200, "method": "GET", "host": "shop.example.com", "version": "1.1", "target": "/a?b=c",
    }


def test_what_was_not_reached_is_null() -> None:
    value = as_json(method="", target="", host="", route="", backend="", server="", client_ip="", status=-1, timers=(-1,) * 5)
    for key in ("method", "target", "host", "route", "backend", "endpoint", "client", "status", "version"):
        assert value[key] is None
    assert set(value["timers"].values()) == {None}


def test_a_json_line_of_a_tcp_connection() -> None:
    value = as_json(tcp=True, tls=True, redispatched=True, retries=2)
    assert (value["mode"], value["termination"], value["tls"], value["redispatched"], value["retries"]) == ("tcp", "--", True, True, 2)
    assert value["timers"] == {"queue_ms": 2, "connect_ms": 3, "total_ms": 10}
    assert not {"method", "target", "status", "host", "version"} & set(value)


@pytest.mark.parametrize(("target", "read"), [
    (b'/"\\\x00\x1f\x7f', '/"\\\x00\x1f\x7f'), ("/ü€😀".encode(), "/ü€😀"), (b"/\xff\xfe", "/��"), (b"/\xc3", "/�"),
    (b"/\xc0\xaf", "/��"), (b"/\xe0\x80\xaf", "/���"), (b"/\xed\xa0\x80", "/���"), (b"/\xf4\x90\x80\x80", "/����"), (b"/\xc2\x85", "/\x85"),
    (b"/\xe2\x82", "/��"), (b"/\xf0\x9f\x98", "/���"),
])
def test_json_survives_any_bytes(target: bytes, read: str) -> None:
    assert as_json(target=target)["target"] == read


def test_control_characters_are_never_written_raw() -> None:
    line = Line(**{**FACTS, "target": bytes(range(256)), "host": bytes(range(256))}).format(json=True)[:-1]
    text = line.decode("utf-8")
    assert not [c for c in text if ord(c) < 32 or 127 <= ord(c) < 160]


# ---- both


@pytest.mark.parametrize("json_format", [False, True])
@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize("byte", [b"x", b"\n", b"\xff", "€".encode()])
def test_no_line_is_longer_than_it_may_be(byte: bytes, tcp: bool, json_format: bool) -> None:
    texts = ("client_ip", "frontend", "backend", "server", "method", "target", "host", "route")
    huge = dict.fromkeys(texts, byte * 5000)
    numbers = {"bytes_out": 2**64 - 1, "bytes_in": 2**63 - 1, "counts": (2**32 - 1,) * 6, "timers": (-(2**31),) * 5, "status": -(2**31)}
    line = Line(**{**FACTS, **huge, **numbers, "tcp": tcp}).format(json=json_format)
    assert len(line) <= LINE_MOST
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    if json_format:
        json.loads(line)


LINE = re.compile(
    r'^(?P<client>\S+):(?P<port>\d+) \[(?P<date>\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d\.\d{3})\] (?P<frontend>[^ ~]+)(?P<tls>~?) '
    r'(?P<backend>[^ /]+)/(?P<server>\S+) (?P<timers>-?\d+(/-?\d+){4}) (?P<status>-?\d+) (?P<bytes>\d+) - - (?P<code>[-A-Za-z]{4}) '
    r'(?P<counts>\d+/\d+/\d+/\d+/\+?\d+) (?P<queues>\d+/\d+) "(?P<request>[^"]*)"\n$'
)


def test_random_facts_give_lines_that_can_be_read() -> None:
    chance = random.Random(7)

    def text(most: int) -> bytes:
        return bytes(chance.choice(b"abcXYZ019-._/%\"\\# {|}\x00\n\xc3\xbc\xff") for _ in range(chance.randint(1, most)))

    for _ in range(2000):
        line = Line(**{**FACTS, "target": text(200), "backend": text(20).replace(b"/", b"."), "server": text(30), "method": text(8)})
        match = LINE.match(line.format().decode("ascii"))
        assert match
        json.loads(line.format(json=True))


def test_halog_reads_the_lines(tmp_path: Path) -> None:
    halog = shutil.which("halog")
    if halog is None:                            # it comes with HAProxy; what it looks for is the expression above
        assert LINE.match(http())
        return
    log = tmp_path / "log"
    prefix = "Nov 22 04:12:25 host edged[1]: "
    lines = [http(status=200, timers=(1, 0, 2, 30, 40))] * 7 + [http(status=503, server="", termination="SC--")] * 3
    log.write_text("".join(prefix + line for line in lines))

    def counted(*options: str) -> str:
        return subprocess.run([halog, "-q", *options], stdin=log.open(), capture_output=True, text=True, check=True, timeout=20).stdout

    assert sorted(line.split()[:2] for line in counted("-st").splitlines()) == [["200", "7"], ["503", "3"]]
    assert sorted(line.split()[:2] for line in counted("-tc").splitlines()) == [["--", "7"], ["SC", "3"]]
    servers = {line.split()[0]: line.split() for line in counted("-srv").splitlines()[1:]}
    assert "be_http:shop:cart/<NOSRV>" in servers
    assert "be_http:shop:cart/pod:cart-1:cart:10.1.2.3:8080" in servers
