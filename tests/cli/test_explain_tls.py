"""`edged explain https://...` and `edged check`, where certificates are at stake."""

from pathlib import Path

import pytest

from edged import cli
from tests.scenarios.harness.authority import Authority

AUTHORITY = Authority("explained")
SETTINGS = """\
[[listener]]
address = "127.0.0.1:0"
[[listener]]
address = "127.0.0.1:0"
mode = "https"
[tls]
default_certificate = "default.pem"
certificates = ["certs.d"]
[sources.files]
paths = ["routes.yaml"]
"""
ROUTES = """\
routes:
- {host: shop.test, to: ["127.0.0.1:1"], tls: {certificate: shop.pem, insecure: redirect}}
- {host: bare.test, to: ["127.0.0.1:2"], tls: {}}
- {host: "*.raw.test", to: ["127.0.0.1:3"], tls: {termination: passthrough}}
- {host: again.test, to: ["127.0.0.1:4"], tls: {}, to_tls: {ca: ca.pem, name: app.internal}}
- {host: trusting.test, to: ["127.0.0.1:4"], tls: {}, to_tls: {verify: false}}
- {host: own.test, to: ["127.0.0.1:5"], tls: {}}
- {host: plain.test, to: ["127.0.0.1:6"]}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    (folder / "certs.d").mkdir()
    for name, where in (("default", ""), ("shop", ""), ("own", "certs.d/")):
        (folder / f"{where}{name}.pem").write_text(AUTHORITY.issue(name, [f"{name}.test"], days=100).bundle)
    (folder / "ca.pem").write_text(AUTHORITY.pem)
    return folder


def site(folder: Path, settings: str = SETTINGS, routes: str = ROUTES) -> str:
    (folder / "routes.yaml").write_text(routes)
    (folder / "edged.toml").write_text(settings + f'[run]\nstate_dir = "{folder}/state"\nruntime_dir = "{folder}/run"\n')
    return str(folder / "edged.toml")


def explained(capsys: pytest.CaptureFixture[str], path: str, url: str) -> list[str]:
    """What is told of a URL, without the folder and the times."""
    cli.main(["explain", "--config", path, url])
    folder = str(Path(path).parent)
    return [line.replace(f"{folder}/", "").partition(", valid until ")[0].strip() for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize(("url", "lines"), [
    ("https://shop.test/x", [
        "shop.test/x: route shop.test (routes.yaml:2), shop.test", "certificate: that for shop.test, from route shop.test (routes.yaml:2)",
    ]),
    ("https://SHOP.test:8443/", ["certificate: that for shop.test, from route shop.test (routes.yaml:2)"]),
    ("https://bare.test/", ["certificate: the default one, from default.pem:"]),
    ("https://own.test/", ["certificate: that for own.test, from certs.d/own.pem:"]),
    ("https://nobody.test/", ["nobody.test/: no route matches", "certificate: the default one, from default.pem:"]),
    ("https://plain.test/", ["plain.test/: no route matches"]),
    ("https://x.raw.test/", [
        "x.raw.test/: route *.raw.test (routes.yaml:4), *.raw.test", "TLS passes through untouched: the endpoint shows its own certificate",
    ]),
    ("https://x.y.raw.test/", ["x.y.raw.test/: no route matches"]),
    ("https://again.test/", ["TLS to the endpoints, which are certified by one of 1 authorities as app.internal"]),
    ("https://trusting.test/", ["TLS to the endpoints, which are not verified"]),
    ("https://127.0.0.1/", ["certificate: the default one, from default.pem:"]),
    ("https://[::1]/", ["certificate: the default one, from default.pem:"]),
    ("http://shop.test/", ["shop.test/: answered by a redirect to https"]),
    ("http://bare.test/", ["bare.test/: no route matches"]),
])
def test_which_certificate_is_shown_and_where_tls_ends(
    capsys: pytest.CaptureFixture[str], folder: Path, url: str, lines: list[str]
) -> None:
    told = explained(capsys, site(folder), url)
    for line in lines:
        assert any(one.startswith(line) for one in told), told
    ends_here = url.startswith("https") and not url.startswith("https://x.raw.test")
    assert any("certificate:" in one for one in told) == ends_here


def test_the_expiry_is_told(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    cli.main(["explain", "--config", site(folder), "https://shop.test/"])
    until = AUTHORITY.issue("again", days=100).certificate.not_valid_after_utc
    assert f", valid until {until:%Y-%m-%dT}" in capsys.readouterr().out


def test_with_strict_sni_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    path = site(folder, SETTINGS.replace("[tls]", "[tls]\nstrict_sni = true"))
    assert "no certificate is for bare.test: with [tls] strict_sni, the handshake is refused" in explained(capsys, path, "https://bare.test/")
    assert not any("refused" in line for line in explained(capsys, path, "https://127.0.0.1/"))
    assert not any("refused" in line for line in explained(capsys, path, "https://shop.test/"))


def test_without_a_default_and_without_a_listener(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    path = site(folder, SETTINGS.replace('default_certificate = "default.pem"\n', ""))
    assert any("self-signed" in line for line in explained(capsys, path, "https://bare.test/"))
    assert not (folder / "state").exists()       # nothing is made by asking
    path = site(folder, SETTINGS.replace('mode = "https"', 'mode = "http"'))
    assert "no listener speaks TLS" in explained(capsys, path, "https://bare.test/")


@pytest.mark.parametrize(("settings", "routes", "problem"), [
    (SETTINGS.replace('"default.pem"', '"nowhere.pem"'), ROUTES, "edged.toml:7: tls.default_certificate: "),
    (SETTINGS.replace('"certs.d"', '"nowhere.d"'), ROUTES, "nowhere.d: there is no such file or directory"),
    (SETTINGS, ROUTES.replace("shop.pem", "ca.pem"), "routes.yaml:2: routes[0].tls.certificate: "),
    (SETTINGS, ROUTES.replace("ca: ca.pem", "ca: nowhere.pem"), "routes.yaml:5: routes[3].to_tls.ca: "),
])
def test_check_names_what_is_wrong(capsys: pytest.CaptureFixture[str], folder: Path, settings: str, routes: str, problem: str) -> None:
    assert cli.main(["check", "--config", site(folder, settings, routes)]) == 1
    told = capsys.readouterr().out.replace(f"{folder}/", "").splitlines()
    assert [line for line in told if line.startswith(problem)], told


def test_check_finds_nothing_wrong(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    assert cli.main(["check", "--config", site(folder)]) == 0
