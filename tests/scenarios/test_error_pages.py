"""Answers of our own: a small page for people, JSON for programs."""

import json

import pytest

from tests.scenarios.harness.client import get


def test_people_get_a_page(edge):
    answer = get(edge.address(), host="nobody.test", Accept="text/html,application/xhtml+xml,*/*;q=0.8")
    assert answer.status == 503
    assert answer.get("content-type") == "text/html"
    assert answer.get("cache-control") == "no-cache"
    page = answer.body.decode()
    assert page.startswith("<!doctype html>")
    assert "503" in page


@pytest.mark.parametrize("accept", ["application/json", "text/plain, application/json;q=0.9", "application/json, text/html;q=0.5"])
def test_programs_get_json(edge, accept):
    answer = get(edge.address(), host="nobody.test", Accept=accept)
    assert answer.status == 503
    assert answer.get("content-type") == "application/json"
    assert json.loads(answer.body)["status"] == 503


def test_a_connection_goes_on_after_an_error_that_was_not_the_clients(edge):
    with edge.connect() as client:
        assert client.ask("/", "nobody.test").status == 503
        assert client.ask("/", "nobody.test").status == 503


def test_the_error_answer_to_head_has_no_body(edge):
    with edge.connect() as client:
        answer = client.ask("/", "nobody.test", method="HEAD")
        assert int(answer.get("content-length") or 0) > 100
        assert client.ask("/", "nobody.test").status == 503


@pytest.mark.parametrize("line", ["TRACE / HTTP/1.1", "CONNECT any.test:443 HTTP/1.1"])
def test_trace_and_connect_are_refused(site, line):
    shop = site()
    client = shop.connect()
    host = "any.test:443" if line.startswith("CONNECT") else shop.host
    client.send(f"{line}\r\nHost: {host}\r\n\r\n".encode())
    answer = client.answer()
    assert answer.status == 405
    assert "GET" in (answer.get("allow") or "")
    assert not shop.backend.peers


@pytest.mark.parametrize(
    ("request_line", "fields", "status"),
    [
        ("GET /" + "x" * 15_400, "", 414),
        ("GET /", "X-Big: " + "v" * 16_000, 431),
        ("GET /", "\r\n".join(f"X-{n}: v" for n in range(102)), 431),
        ("GET  / extra", "", 400),
        ("GET /", "no colon", 400),
        ("GET /", ": no name", 400),
        ("GET /", "X-Nul: \0", 400),
    ],
)
def test_what_is_no_request_is_refused_and_closed(site, request_line, fields, status):
    shop = site()
    client = shop.connect()
    client.send(f"{request_line} HTTP/1.1\r\nHost: {shop.host}\r\n{fields}\r\n\r\n".replace("\r\n\r\n\r\n", "\r\n\r\n").encode())
    answer = client.answer()
    assert answer.status == status
    assert answer.get("connection") == "close"
    assert client.rest() == b""
    assert not shop.backend.peers


def test_an_operators_page_replaces_ours(daemon, tmp_path):
    page = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nConnection: close\r\n\r\nsorry"
    (tmp_path / "503.http").write_bytes(page)
    edged = daemon({"defaults": {"error_files": {"503": str(tmp_path / "503.http")}}})
    answer = get(edged.address())
    assert (answer.status, answer.body) == (503, b"sorry")


def test_an_operators_404_answers_where_no_route_matches(daemon, tmp_path, refusing):
    page = b"HTTP/1.1 404 Not Found\r\nContent-Length: 7\r\nConnection: close\r\n\r\nnothing"
    (tmp_path / "404.http").write_bytes(page)
    edged = daemon(
        {"defaults": {"error_files": {"404": str(tmp_path / "404.http")}, "retries": 0}}, [{"host": "down.test", "to": [refusing.address]}]
    )
    assert get(edged.address(), host="other.test").body == b"nothing"
    assert get(edged.address(), host="down.test").status == 503
