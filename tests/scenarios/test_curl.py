"""curl as the client."""

import json

import pytest

from tests.scenarios.harness.content import MIB, content, sha256
from tests.scenarios.harness.peers import curl


@pytest.fixture
def fetch(site):
    """fetch(*words, path=...) lets curl ask a backend that tells what it was asked."""
    shop = site()

    def ask(*words: str, path: str = "/", stdin: bytes = b"") -> bytes:
        return curl("-H", f"Host: {shop.host}", *words, shop.daemon.url(path), stdin=stdin)

    return ask


def test_get(fetch):
    told = json.loads(fetch(path="/x?y=z"))
    assert (told["method"], told["target"]) == ("GET", "/x?y=z")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "REPORT"])
def test_methods_with_a_body(fetch, method):
    told = json.loads(fetch("-X", method, "--data-binary", "a=b&c=d"))
    assert (told["method"], told["length"], told["sha256"]) == (method, 7, sha256(b"a=b&c=d"))


def test_head_has_no_body(fetch):
    head = fetch("-I").decode().lower()
    assert head.startswith("http/1.1 200")
    assert int(head.split("content-length: ")[1].split()[0]) > 100


@pytest.mark.parametrize("size", [1 * MIB, 100 * MIB])
@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_uploads(fetch, tmp_path, size, coding):
    file = tmp_path / "body"
    file.write_bytes(content(size))
    how = ["-H", "Expect:"] if coding == "length" else ["-H", "Expect:", "-H", "Transfer-Encoding: chunked"]
    told = json.loads(fetch("-T", str(file), *how))
    assert (told["length"], told["sha256"]) == (size, sha256(content(size)))


@pytest.mark.parametrize("size", [1 * MIB, 100 * MIB])
@pytest.mark.parametrize("coding", ["length", "chunked", "until the end"])
def test_downloads(site, size, coding):
    def sends(peer):
        while True:
            peer.request()
            if coding == "length":
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
                peer.send(content(size))
            elif coding == "chunked":
                peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                for at in range(0, size, 65_537):
                    part = content(size)[at:at + 65_537]
                    peer.send(b"%x\r\n%b\r\n" % (len(part), part))
                peer.send(b"0\r\n\r\n")
            else:
                peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
                peer.send(content(size))
                return

    shop = site(sends)
    got = curl("-H", f"Host: {shop.host}", shop.daemon.url())
    assert (len(got), sha256(got)) == (size, sha256(content(size)))


def test_one_connection_carries_many_requests(fetch, site):
    shop = site()
    urls = [shop.daemon.url(f"/{n}") for n in range(20)]
    told = curl("-H", f"Host: {shop.host}", "-w", "%{num_connects} %{local_port}\n", "-o", "/dev/null", *["-o", "/dev/null"] * 19, *urls)
    connects = [line.split()[0] for line in told.decode().splitlines()]
    assert connects == ["1"] + ["0"] * 19


def test_curl_waits_for_100_continue(site):
    def says_continue(peer):
        head = peer.head()
        assert head.get("expect") == "100-continue"
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        peer.reply(sha256(peer.take(int(head.get("content-length") or 0))).encode())

    shop = site(says_continue)
    body = content(2 * MIB)
    # Without the 100, curl would wait for the time given before it sends the body.
    expects = ["-H", f"Host: {shop.host}", "-H", "Expect: 100-continue", "--expect100-timeout", "50"]
    told = curl(*expects, "--data-binary", "@-", shop.daemon.url(), stdin=body)
    assert told.decode() == sha256(body)


def test_http_1_0(fetch):
    told = json.loads(fetch("-0", path="/old"))
    assert told["target"] == "/old"
