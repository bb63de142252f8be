"""The demo keeps its promises: every line that it prints to paste shows what it says."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.loads.machine import family

START_S = 60


@dataclass
class Demo:
    """A demo at work; all that it prints goes to a file."""

    process: subprocess.Popen[bytes]
    output: Path
    http_port: int
    https_port: int
    tcp_port: int

    @classmethod
    def begin(cls, folder: Path, http_port: int, https_port: int, tcp_port: int) -> "Demo":
        ports = ["--http-port", str(http_port), "--https-port", str(https_port), "--tcp-port", str(tcp_port)]
        words = [sys.executable, "-m", "edged", "demo", *ports]
        output = folder / "output"
        with output.open("wb") as file:
            process = subprocess.Popen(words, stdout=file, stderr=file, start_new_session=True)
        return cls(process, output, http_port, https_port, tcp_port)

    @property
    def text(self) -> str:
        return self.output.read_text()

    def wait_ready(self) -> None:
        end = time.monotonic() + START_S
        while "Below: the access log" not in self.text:
            assert self.process.poll() is None, self.text
            assert time.monotonic() < end, self.text
            time.sleep(0.05)

    def line(self, word: str) -> str:
        """The line to paste that has this word."""
        return next(line.strip() for line in self.text.splitlines() if word in line and line.startswith("  ") and "  #" not in line)

    def paste(self, word: str) -> str:
        return subprocess.run(["sh", "-c", self.line(word)], capture_output=True, text=True, check=False, timeout=30).stdout

    @property
    def folder(self) -> str:
        return self.line_of("Its settings are ").removesuffix("/edged.toml")

    def line_of(self, start: str) -> str:
        return next(line.removeprefix(start) for line in self.text.splitlines() if line.startswith(start))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    started = Demo.begin(tmp_path_factory.mktemp("demo"), free_port(), free_port(), free_port())
    try:
        started.wait_ready()
        yield started
    finally:
        started.process.terminate()
        started.process.wait(timeout=30)


def test_weights_share_the_requests(demo: Demo) -> None:
    answers = [line.split()[0] for line in demo.paste("/[1-4]'").splitlines()]
    assert sorted(answers) == ["shop-1", "shop-1", "shop-1", "shop-2"]


def test_a_cookie_keeps_its_endpoint(demo: Demo) -> None:
    answers = [line.split()[0] for line in demo.paste("/cart/[1-3]'").splitlines()]
    assert len(answers) == 3
    assert len(set(answers)) == 1
    assert answers[0] in ("cart-1", "cart-2")


def test_paths_choose_the_backend_and_headers_are_added(demo: Demo) -> None:
    first, *headers = demo.paste("/v1/items").splitlines()
    assert first == "api-v1 answers GET /v1/items for api.localhost"
    assert "  x-forwarded-for: 127.0.0.1" in [header.lower() for header in headers]
    second = demo.paste("/v2/items").splitlines()
    assert second[:2] == ["api-v2 answers POST /v2/items for api.localhost", "with 5 bytes of body"]


def test_the_site_is_served_over_https(demo: Demo) -> None:
    first, *headers = demo.paste("https://api.localhost").splitlines()
    assert first == f"api-v1 answers GET /v1/items for api.localhost:{demo.https_port}"
    assert "  x-forwarded-proto: https" in [header.lower() for header in headers]
    unknown = demo.line("https://api.localhost").replace(demo.folder + "/ca.pem", "/dev/null")
    assert subprocess.run(["sh", "-c", unknown], capture_output=True, check=False, timeout=30).returncode != 0


def test_tls_begins_anew_and_passes_through(demo: Demo) -> None:
    assert demo.paste("https://vault.localhost").startswith(f"vault-1 answers GET / for vault.localhost:{demo.https_port}")
    assert demo.paste("Host: vault.localhost").startswith("HTTP/1.1 302 ")
    raw = demo.paste("https://raw.localhost")
    assert raw.startswith(f"vault-1 answers GET / for raw.localhost:{demo.https_port}")
    assert "x-forwarded" not in raw.lower()


def test_any_other_host_is_welcome(demo: Demo) -> None:
    assert demo.paste("  curl http://127.0.0.1").startswith("welcome answers GET / for 127.0.0.1")


def test_a_websocket_message_comes_back(demo: Demo) -> None:
    answer = demo.paste("Upgrade: websocket")
    assert answer.startswith("HTTP/1.1 101 ")
    assert answer.splitlines()[-1] == "b'hello'"


def test_the_page_for_browsers_is_served(demo: Demo) -> None:
    assert demo.line("http://live.localhost") == f"http://live.localhost:{demo.http_port}/"
    words = ["curl", "-s", "-H", "Host: live.localhost", f"http://127.0.0.1:{demo.http_port}/"]
    shown = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "new WebSocket(" in shown.stdout
    assert "live-page" in shown.stdout


def test_bytes_come_back_over_tcp(demo: Demo) -> None:
    assert demo.paste("b'hello'); print(s.recv(99))\"").strip() == "b'hello'"


def test_the_slow_one_answers_in_its_time(demo: Demo) -> None:
    began = time.monotonic()
    assert demo.paste("curl -H 'Host: slow.localhost'").startswith("slow-1, two seconds later, answers")
    assert time.monotonic() - began >= 2


@pytest.mark.parametrize(("word", "status"), [("/silent", 504), ("/refused", 503), ("/garbage", 502), ("/503", 503)])
def test_each_failure_has_its_status(demo: Demo, word: str, status: int) -> None:
    assert demo.paste(word).startswith(f"HTTP/1.1 {status} ")


def test_a_failing_backend_speaks_for_itself(demo: Demo) -> None:
    assert demo.paste("/503").endswith("failing-1 itself says 503\n")


def test_a_reload_puts_new_processes_in_place(demo: Demo) -> None:
    assert "generation 2 serves" in demo.paste(" reload")
    assert "generation 2" in demo.paste(" status")


def test_explain_names_the_route(demo: Demo) -> None:
    assert "shop.localhost/cart" in demo.paste(" explain ")


def test_an_edited_route_is_in_force(demo: Demo) -> None:
    demo.paste("sed -i")
    end = time.monotonic() + 10
    while "shop-2" in demo.paste("/[1-4]'"):
        assert time.monotonic() < end, "the change is not in force"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_of_it_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    demo = Demo.begin(tmp_path, free_port(), free_port(), free_port())
    demo.wait_ready()
    children = family(demo.process.pid)[1:]
    assert len(children) >= 3                    # supervisor, control, a worker
    demo.process.send_signal(number)
    assert demo.process.wait(timeout=30) == 0
    assert "Traceback" not in demo.text
    assert not Path(demo.folder).exists()
    assert [pid for pid in children if Path(f"/proc/{pid}").exists()] == []


@pytest.mark.parametrize("option", ["--http-port", "--https-port", "--tcp-port"])
def test_a_port_that_is_taken_is_named_with_its_option(tmp_path: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ports = {"--http-port": free_port(), "--https-port": free_port(), "--tcp-port": free_port(), option: port}
        demo = Demo.begin(tmp_path, *ports.values())
        assert demo.process.wait(timeout=30) == 2
    assert f"port {port} is taken by " in demo.text
    assert f"(process {os.getpid()})" in demo.text
    assert demo.text.rstrip().endswith(option)
