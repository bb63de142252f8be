"""Formats, captures and ids as operators and variables write them: openshift-routes.md 11.4 and 11.6."""

from pathlib import Path
from typing import Any

import pytest

from edged._fast.talk.format import WORDS
from edged.settings import InvalidSettings, Settings
from edged.settings.load import load
from edged.settings.logformat import _ALIASES, _FETCHES, Piece, haproxy_word, pieces
from edged.worker.engine_config import engine_config


def settings(tmp_path: Path, text: str = "", **variables: str) -> Settings:
    path = tmp_path / "edged.toml"
    path.write_text('[[listener]]\naddress = "127.0.0.1:0"\n' + text)
    return load(str(path), variables)


def problem(tmp_path: Path, text: str = "", **variables: str) -> str:
    with pytest.raises(InvalidSettings) as caught:
        settings(tmp_path, text, **variables)
    (one,) = caught.value.problems
    return str(one)


def config(tmp_path: Path, **variables: str) -> dict[str, Any]:
    return engine_config(settings(tmp_path, **variables))


def test_a_text_becomes_pieces() -> None:
    assert pieces("%ci:%cp  100%% %{+Q}r %{+X}o%Ts_%{-X}rt %[req.hdr(X-A)]%{+E}[status]") == (
        Piece("ci"), Piece("literal", text=":"), Piece("cp"), Piece("space"), Piece("literal", text="100%"), Piece("space"),
        Piece("r", "Q"), Piece("space"), Piece("Ts", "X"), Piece("literal", text="_"), Piece("rt"), Piece("space"),
        Piece("header", "X", "X-A", "request"), Piece("ST", "EX"),
    )


@pytest.mark.parametrize(("text", "told"), [
    ("%ci %xx", "column 5: there is no variable %xx"), ("ab%", "column 3: "), ("a %% %5", "column 6: "),
    ("%{+Z}ci", "column 1: {+Z} is no list"),
    ("x %[rand(5)]", "column 3: %[rand(5)] cannot be answered here"), ("%[req.hdr(a b)]", "column 1: "), ("%[", "column 1: "),
    ("%{+Q", "column 1: "), ("%cix", "there is no variable %cix"),
])
def test_what_is_not_understood_is_told_with_its_column(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="column") as caught:
        pieces(text)
    assert told in str(caught.value)
    assert told in problem(tmp_path, ROUTER_SYSLOG_FORMAT=text)
    assert told in problem(tmp_path, ROUTER_UNIQUE_ID_FORMAT=text)


def test_the_engine_knows_every_word() -> None:
    assert (_ALIASES | set(_FETCHES.values())) - {"pid", "H", "o"} <= set(WORDS)
    assert len(WORDS) == len(set(WORDS))


def test_words_of_haproxy() -> None:
    assert haproxy_word('"a \\"b\\" c"') == 'a "b" c'
    assert haproxy_word("'a \\ b'") == "a \\ b"
    assert haproxy_word("a\\ b c") == "a b c"


def test_formats_of_lines(tmp_path: Path) -> None:
    assert settings(tmp_path, '[log]\nformat = "json"\n').log.format == "json"
    assert "none of http, json" in problem(tmp_path, '[log]\nformat = "xml"\n')
    got = config(tmp_path, ROUTER_SYSLOG_FORMAT='"%ci %[req.hdr(X-A)]"')
    assert got["log_pieces"] == [("ci", "", ""), ("space", "", ""), ("captured", "", 0)]
    assert got["log_format"] == "http"
    assert got["notes"]["captures"] == [("request", "X-A", 512)]
    assert config(tmp_path)["notes"] is None
    assert config(tmp_path)["log_pieces"] == []


def test_captures(tmp_path: Path) -> None:
    got = config(
        tmp_path, ROUTER_CAPTURE_HTTP_REQUEST_HEADERS="Host:64, User-Agent:128", ROUTER_CAPTURE_HTTP_RESPONSE_HEADERS="Server:9",
        ROUTER_CAPTURE_HTTP_COOKIE="SESSION=:32",
    )["notes"]
    assert got["captures"] == [
        ("request", "Host", 64), ("request", "User-Agent", 128), ("response", "Server", 9), ("cookie", "SESSION=", 32),
        ("set-cookie", "SESSION=", 32),
    ]
    assert (got["n_request"], got["n_response"], got["cookies"]) == (2, 1, True)


@pytest.mark.parametrize(("variable", "text"), [
    ("ROUTER_CAPTURE_HTTP_REQUEST_HEADERS", "Host"), ("ROUTER_CAPTURE_HTTP_REQUEST_HEADERS", "Host:0"),
    ("ROUTER_CAPTURE_HTTP_REQUEST_HEADERS", "Ho st:5"), ("ROUTER_CAPTURE_HTTP_RESPONSE_HEADERS", "Server:-1"),
    ("ROUTER_CAPTURE_HTTP_RESPONSE_HEADERS", "Server=:5"), ("ROUTER_CAPTURE_HTTP_COOKIE", "a"), ("ROUTER_CAPTURE_HTTP_COOKIE", "=:5"),
    ("ROUTER_CAPTURE_HTTP_COOKIE", "a==:5"), ("ROUTER_H1_CASE_ADJUST", "Content-Length,a b"), ("ROUTER_UNIQUE_ID_HEADER_NAME", "a:b"),
])
def test_wrong_variables_are_fatal(tmp_path: Path, variable: str, text: str) -> None:
    assert problem(tmp_path, **{variable: text}).startswith(f"environment: {variable}: ")


def test_ids(tmp_path: Path) -> None:
    got = config(tmp_path, ROUTER_UNIQUE_ID_FORMAT="%{+X}o %ci:%cp_%fi:%fp_%Ts_%rt:%pid", ROUTER_UNIQUE_ID_HEADER_NAME="X-Request-Id")
    assert got["notes"]["id_header"] == "X-Request-Id"
    assert got["notes"]["id_pieces"][:3] == [("space", "", ""), ("ci", "X", ""), ("literal", "", ":")]
    assert got["local_wanted"]
    assert "unique_id_header" in settings(tmp_path, ROUTER_UNIQUE_ID_HEADER_NAME="X-Id").notes[0]


def test_spellings(tmp_path: Path) -> None:
    assert config(tmp_path, ROUTER_H1_CASE_ADJUST="Content-Length, SOAPAction,")["h1_case_adjust"] == ("Content-Length", "SOAPAction")


def test_a_level_that_there_is_not_is_the_default_of_the_router(tmp_path: Path) -> None:
    assert settings(tmp_path, ROUTER_SYSLOG_ADDRESS="/dev/log", ROUTER_LOG_LEVEL="loud").log.level == "warning"
    assert settings(tmp_path, ROUTER_LOG_LEVEL="loud").log.level == "info"
