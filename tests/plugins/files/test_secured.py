"""TLS in the short form: what it means, and what is told about it where it is wrong."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from edged_plugins.files.content import Content, read_text
from edged_plugins.files.shortform import Defaults

from edged.control.sound import flaw
from edged.hooks import Insecure, Route, Termination, Trust, checked_trust
from tests.scenarios.harness.authority import Authority, common_name

AUTHORITY = Authority("short")
ONE, TWO = AUTHORITY.issue("one", number=1), AUTHORITY.issue("two", number=2)
CA = checked_trust(AUTHORITY.pem)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "one.pem").write_text(ONE.bundle)
    (tmp_path / "one.crt").write_text(ONE.pem)
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "one.key").write_text(ONE.key_pem)
    (tmp_path / "keys" / "two.key").write_text(TWO.key_pem)
    (tmp_path / "between.pem").write_text(ONE.between_pem)
    (tmp_path / "ca.pem").write_text(AUTHORITY.pem)
    (tmp_path / "rubbish.pem").write_text("rubbish")
    return tmp_path


def read(folder: Path, **entry: Any) -> Content:
    """The content of a file with one route."""
    entry = {"host": "www.example.com", "to": ["127.0.0.1:80"], **entry}
    text = yaml.safe_dump({"routes": [{key: value for key, value in entry.items() if value is not None}]})
    content = read_text(text.encode(), str(folder / "routes.yaml"), Defaults())
    assert all(flaw(route) is None for route in content.routes)
    return content


def the(folder: Path, **entry: Any) -> Route:
    content = read(folder, **entry)
    assert content.problems == ()
    (route,) = content.routes
    return route


def wrong(folder: Path, **entry: Any) -> dict[str, str]:
    """Field and message of what is wrong with a route."""
    content = read(folder, **entry)
    assert content.routes == ()
    return {problem.key.removeprefix("routes[0]").removeprefix("."): problem.message for problem in content.problems}


# ---- towards clients


@pytest.mark.parametrize(("entry", "termination", "insecure"), [
    ({}, Termination.NONE, Insecure.NONE),
    ({"tls": {}}, Termination.EDGE, Insecure.NONE),
    ({"tls": {"insecure": "none"}}, Termination.EDGE, Insecure.NONE),
    ({"tls": {"termination": "edge", "insecure": "allow"}}, Termination.EDGE, Insecure.ALLOW),
    ({"tls": {"insecure": "redirect"}}, Termination.EDGE, Insecure.REDIRECT),
    ({"tls": {}, "to_tls": {"verify": False}}, Termination.REENCRYPT, Insecure.NONE),
    ({"tls": {"termination": "reencrypt", "insecure": "redirect"}, "to_tls": {"verify": False}}, Termination.REENCRYPT, Insecure.REDIRECT),
    ({"tls": {"termination": "passthrough"}}, Termination.PASSTHROUGH, Insecure.NONE),
    ({"tls": {"termination": "passthrough", "insecure": "redirect"}}, Termination.PASSTHROUGH, Insecure.REDIRECT),
    ({"to_tls": {"verify": False}}, Termination.NONE, Insecure.NONE),
])
def test_where_tls_ends(folder: Path, entry: dict[str, Any], termination: Termination, insecure: Insecure) -> None:
    route = the(folder, **entry)
    assert (route.termination, route.insecure, route.certificate) == (termination, insecure, None)


@pytest.mark.parametrize("tls", [
    {"certificate": "one.pem"}, {"certificate": "one.crt", "key": "keys/one.key", "ca": "between.pem"},
    {"certificate": ONE.bundle}, {"certificate": "one.crt", "key": ONE.key_pem, "ca": "./keys/../between.pem"},
])
def test_a_certificate_is_a_file_or_a_text(folder: Path, tls: dict[str, str]) -> None:
    route = the(folder, tls=tls)
    assert route.certificate is not None
    assert [common_name(der) for der in route.certificate.chain] == ["one", "short intermediate"]
    name = tls["certificate"]
    assert str(route.certificate.origin) == (str(folder / name) if name.startswith("one") else str(route.origin))


def test_the_files_are_told_with_how_they_were(folder: Path) -> None:
    content = read(folder, tls={"certificate": "one.crt", "key": "keys/one.key"}, to_tls={"ca": str(folder / "ca.pem")})
    assert dict(content.beside).keys() == {str(folder / name) for name in ("one.crt", "keys/one.key", "ca.pem")}
    assert all(mark[2] == (Path(path)).stat().st_size for path, mark in content.beside)


@pytest.mark.parametrize(("tls", "field", "message"), [
    ({"certificate": "nowhere.pem"}, "tls.certificate", "there is no file {folder}/nowhere.pem"),
    ({"certificate": "keys"}, "tls.certificate", "{folder}/keys: cannot be read: Is a directory"),
    ({"certificate": "rubbish.pem"}, "tls.certificate", "{folder}/rubbish.pem: there is no certificate in it"),
    ({"certificate": "one.crt"}, "tls.certificate", "there is no private key for the certificate"),
    ({"certificate": "one.crt", "key": "keys/two.key"}, "tls.key", "{folder}/keys/two.key: this is not the key of the certificate"),
    ({"certificate": "one.pem", "ca": "rubbish.pem"}, "tls.ca", "{folder}/rubbish.pem: there is no certificate in it"),
    ({"certificate": "one.crt", "key": "nowhere.key"}, "tls.key", "there is no file {folder}/nowhere.key"),
    ({"certificate": "rub\nbish"}, "tls.certificate", "neither PEM nor the name of a file"),
])
def test_files_that_cannot_be_used_are_problems_and_the_route_should_stay_as_it_was(
    folder: Path, tls: dict[str, str], field: str, message: str
) -> None:
    content = read(folder, tls=tls)
    assert content.kept == ((0, "www.example.com"),)
    (problem,) = content.problems
    assert problem.key == f"routes[0].{field}"
    assert message.format(folder=folder) in problem.message
    assert problem.object == "www.example.com"
    assert "PRIVATE KEY" not in str(problem)


@pytest.mark.parametrize(("entry", "field", "message"), [
    ({"tls": {"termination": "edge"}, "to_tls": {"verify": False}}, "tls.termination", "reencrypt"),
    ({"tls": {"termination": "reencrypt"}}, "to_tls", "is missing"),
    ({"tls": {"termination": "passthrough", "insecure": "allow"}}, "tls.insecure", "none or redirect"),
    ({"tls": {"termination": "passthrough", "certificate": "one.pem"}}, "tls.certificate", "no place in a passthrough route"),
    ({"tls": {"termination": "passthrough"}, "path": "/x"}, "path", "no place in a passthrough route"),
    ({"tls": {"termination": "passthrough"}, "to_tls": {"verify": False}}, "to_tls", "no place in a passthrough route"),
    ({"tls": {"key": "keys/one.key"}}, "tls.key", "no meaning without a certificate"),
    ({"tls": {"certificate": "one.pem"}, "host": "*"}, "tls.certificate", "default certificate"),
    ({"tls": {}, "host": None, "name": "db"}, "tls", "[[listener]]"),
    ({"to_tls": {}}, "to_tls.ca", "is missing"),
    ({"to_tls": {"ca": "ca.pem", "verify": False}}, "to_tls.ca", "no meaning"),
    ({"to_tls": {"verify": False, "sni": True}}, "to_tls.name", "is missing: the name to send"),
    ({"to_tls": {"verify": False}, "to": ["10.0.0.1:1", {"address": "10.0.0.2:2", "server_name": "x"}]}, "to_tls.name", "not every"),
    ({"to": [{"address": "127.0.0.1:2", "server_name": "x"}]}, "to[0].server_name", "no meaning without to_tls"),
    ({"tls": {"terminaton": "edge"}}, "tls.terminaton", 'did you mean "termination"?'),
    ({"tls": {"termination": "end"}}, "tls.termination", "must be one of edge, reencrypt, passthrough"),
    ({"tls": {"insecure": "Allow"}}, "tls.insecure", 'did you mean "allow"?'),
    ({"tls": "edge"}, "tls", "must be a mapping"),
    ({"to_tls": {"verify": False, "name": "a b"}}, "to_tls.name", "it is a host name"),
    ({"to_tls": {"ca": "ca.pem"}, "to": [{"address": "127.0.0.1:2", "server_name": "a/b"}]}, "to[0].server_name", "it is a host name"),
])
def test_what_is_wrong(folder: Path, entry: dict[str, Any], field: str, message: str) -> None:
    found = wrong(folder, **entry)
    assert list(found) == [field]
    assert message in found[field]


def test_a_wrong_shape_leaves_nothing_as_it_was(folder: Path) -> None:
    """Only what lies in files may be half written; the route itself was written by who saves it."""
    assert read(folder, tls={"termination": "end"}).kept == ()


# ---- towards endpoints


def towards(folder: Path, *to: Any, **to_tls: Any) -> tuple[Trust | None, bool, bool, list[str]]:
    backend = the(folder, to=list(to) or ["127.0.0.1:80"], to_tls=to_tls).backend
    return backend.trust, backend.check_name, backend.send_sni, [endpoint.server_name for endpoint in backend.endpoints]


def test_how_endpoints_are_spoken_to(folder: Path) -> None:
    assert the(folder).backend.trust is None
    assert towards(folder, ca="ca.pem") == (CA, False, False, [""])
    assert towards(folder, ca=AUTHORITY.pem) == (CA, False, False, [""])
    assert towards(folder, ca="ca.pem", name="app.test") == (CA, True, True, ["app.test"])
    assert towards(folder, ca="ca.pem", name="app.test", sni=False) == (CA, True, False, ["app.test"])
    assert towards(folder, verify=False) == (Trust.of(verify=False), False, False, [""])
    assert towards(folder, verify=False, name="app.test") == (Trust.of(verify=False), False, True, ["app.test"])


def test_each_endpoint_may_have_a_name_of_its_own(folder: Path) -> None:
    one, two = {"address": "127.0.0.1:1", "server_name": "one.test"}, {"address": "127.0.0.1:2", "server_name": "two.test"}
    assert towards(folder, one, two, ca="ca.pem") == (CA, True, True, ["one.test", "two.test"])
    assert towards(folder, one, "127.0.0.1:3", ca="ca.pem", name="all.test") == (CA, True, True, ["one.test", "all.test"])


@pytest.mark.parametrize(("ca", "message"), [
    ("nowhere.pem", "there is no file"), ("rubbish.pem", "there is no certificate in it"), ("keys/one.key", "there is no certificate"),
])
def test_authorities_that_cannot_be_read(folder: Path, ca: str, message: str) -> None:
    content = read(folder, to_tls={"ca": ca})
    assert content.kept == ((0, "www.example.com"),)
    assert [problem.key for problem in content.problems] == ["routes[0].to_tls.ca"]
    assert message in content.problems[0].message
