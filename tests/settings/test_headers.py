"""Actions on headers as operators and variables write them: openshift-routes.md 1.4 and 11.4."""

from pathlib import Path

import pytest

from edged.model.policy import HeaderAction
from edged.settings import InvalidSettings, Settings
from edged.settings.headers import header_actions
from edged.settings.load import load


def settings(tmp_path: Path, text: str = "", **variables: str) -> Settings:
    path = tmp_path / "edged.toml"
    path.write_text('[[listener]]\naddress = "127.0.0.1:0"\n' + text)
    return load(str(path), variables)


def problem(tmp_path: Path, text: str = "", **variables: str) -> str:
    with pytest.raises(InvalidSettings) as caught:
        settings(tmp_path, text, **variables)
    (one,) = caught.value.problems
    return str(one)


def test_actions_in_the_file(tmp_path: Path) -> None:
    text = 'request_headers = ["set X-A: %[req.hdr(X-B),lower] a:b", "delete X-C"]\nresponse_headers = ["set X-D:"]\n'
    got = settings(tmp_path, f"[defaults]\n{text}")
    assert header_actions(got.defaults.request_headers) == (HeaderAction("X-A", "%[req.hdr(X-B),lower] a:b"), HeaderAction("X-C"))
    assert header_actions(got.defaults.response_headers) == (HeaderAction("X-D", ""),)


@pytest.mark.parametrize(("side", "text", "told"), [
    ("request", "X-A: b", "is no action"), ("request", "set a b: c", "is no action"), ("request", "set a{: c", "no name"),
    ("request", "delete ", "is no action"), ("request", "set a: 5%", "no value"), ("request", "set a: %[res.hdr(x)]", "no value"),
    ("response", "set a: %[req.hdr(x)]", "no value"),
])
def test_what_is_no_action(tmp_path: Path, side: str, text: str, told: str) -> None:
    assert told in problem(tmp_path, f'[defaults]\n{side}_headers = ["{text}"]\n')


def test_actions_of_variables(tmp_path: Path) -> None:
    got = settings(
        tmp_path, ROUTER_HTTP_REQUEST_HEADERS="X-A:%25%5Breq.hdr%28X-B%29%5D+%2C%3A:Set,X-C:Delete",
        ROUTER_HTTP_RESPONSE_HEADERS="Server:Delete",
    )
    assert header_actions(got.defaults.request_headers) == (HeaderAction("X-A", "%[req.hdr(X-B)] ,:"), HeaderAction("X-C"))
    assert header_actions(got.defaults.response_headers) == (HeaderAction("Server"),)


@pytest.mark.parametrize("text", [
    "X-A", "X-A:b", "X-A:b:set", "X-A:b:c:Set", "X-A:Delete,", ",X-A:Delete", "X A:Delete", "X%20A:Delete", ":Delete", "X-A:b:Delete",
    "X-A:5%:Set", "X-A:5%25:Set", "X-A:%0a:Set", "X-A:%ff:Set", "X-A:Set",
])
def test_wrong_variables_are_fatal(tmp_path: Path, text: str) -> None:
    assert problem(tmp_path, ROUTER_HTTP_REQUEST_HEADERS=text).startswith("environment: ROUTER_HTTP_REQUEST_HEADERS: ")


def test_the_file_is_stronger(tmp_path: Path) -> None:
    assert settings(tmp_path, "[defaults]\nrequest_headers = []\n", ROUTER_HTTP_REQUEST_HEADERS="X:Delete").defaults.request_headers == ()


def test_client_certificate_fields_are_stripped_by_default(tmp_path: Path) -> None:
    assert settings(tmp_path).defaults.strip_client_certificate
    assert not settings(tmp_path, ROUTER_MUTUAL_TLS_HEADER_FILTER="false").defaults.strip_client_certificate
