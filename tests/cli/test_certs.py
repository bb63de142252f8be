"""`edged certs`: what there is, what it is for, and what was refused."""

import json
import textwrap

import pytest

from edged import cli
from tests.scenarios.harness.authority import Authority, key_of
from tests.tls.odd import key_pem, made, pem

SETTINGS = """\
[[listener]]
address = "127.0.0.1:0"
mode = "https"
[sources.files]
paths = ["routes.yaml"]
[run]
state_dir = "state"
[tls]
certificates = ["certs.d"]
default_certificate = "default.pem"
"""


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.fixture
def site(tmp_path, authority):
    """A site; answers its directory."""
    (tmp_path / "certs.d").mkdir()
    (tmp_path / "edged.toml").write_text(SETTINGS)
    (tmp_path / "default.pem").write_text(authority.issue("Default", days=30).bundle)
    (tmp_path / "routes.yaml").write_text("")
    return tmp_path


@pytest.fixture
def certs(site, capsys):
    def go(*words):
        status = cli.main(["certs", "--config", str(site / "edged.toml"), *words])
        told = capsys.readouterr()
        assert told.err == ""
        return status, told.out.replace(f"{site}/", "")

    return go


@pytest.fixture
def details(certs):
    def go():
        status, told = certs("--json")
        return status, json.loads(told)

    return go


def route(name, host, certified=None, *, path="", wildcard=False, termination="edge"):
    pems = ""
    if certified is not None:
        fields = {"certificate": certified.chain_pem, "key": certified.key_pem}
        pems = "".join(f"    {field}: |\n{textwrap.indent(text, ' ' * 6)}" for field, text in fields.items())
    return (
        f"---\napiVersion: route.openshift.io/v1\nkind: Route\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  host: {host}\n"
        + (f"  path: {path}\n" if path else "") + ("  wildcardPolicy: Subdomain\n" if wildcard else "")
        + f"  to: {{kind: Service, name: {name}}}\n  tls:\n    termination: {termination}\n{pems}"
    )


def test_a_table_that_people_read(certs, site, authority):
    (site / "certs.d" / "one.pem").write_text(authority.issue("one.example", ["one.example", "www.one.example"], days=30).bundle)
    (site / "routes.yaml").write_text(route("web", "one.example") + route("cart", "one.example", path="/cart"))
    status, told = certs()
    assert status == 0
    heading, default, one = told.splitlines()
    assert heading.split("  ")[0] == "SHOWN FOR"
    assert default.split() == ["(default)", "29", *default.split()[2:]]
    assert "ECDSA secp256r1" in default
    assert "default.pem:6" in default
    assert one.startswith("one.example (+1)    29  20")
    assert one.endswith("root intermediate  certs.d/one.pem:6  route shop/cart (+1)")
    assert all(line[heading.index("ISSUER") - 2:heading.index("ISSUER")] == "  " for line in (heading, default, one))


def test_every_detail_for_programs(details, site, authority):
    one, own = authority.issue("one.example", sort="rsa", days=30), authority.issue("own.example")
    (site / "certs.d" / "one.pem").write_text(one.bundle)
    (site / "routes.yaml").write_text(
        route("own", "own.example", own) + route("plain", "one.example") + route("none", "none.example") + route("pass", "p.example",
        termination="passthrough"),
    )
    status, told = details()
    assert (status, told["refused"]) == (0, [])
    default, first, second = told["certificates"]
    assert (default["default"], default["names"], default["routes"], default["from"]) == (True, [], ["shop/none"], ["default.pem:6"])
    assert (first["names"], first["routes"], first["from"]) == (["one.example"], ["shop/plain"], ["certs.d/one.pem:29"])
    assert (first["subject"], first["issuer"], first["key"], first["chain"]) == ("CN=one.example", "CN=root intermediate", "RSA 2048", 2)
    assert first["not_after"] == one.certificate.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert (first["days_left"], first["ocsp"], int(first["serial"], 16)) == (29, False, one.certificate.serial_number)
    assert (second["names"], second["routes"]) == (["own.example"], ["shop/own"])
    assert second["from"][0].startswith("route shop/own (routes.yaml:")


def test_a_wildcard_is_told_with_who_uses_it(details, site, authority):
    wild = authority.issue("*.w.example")
    (site / "routes.yaml").write_text(route("wild", "a.w.example", wild, wildcard=True) + route("one", "b.w.example"))
    text = (site / "edged.toml").read_text()
    (site / "edged.toml").write_text(text + "[router]\nallow_wildcard_routes = true\n")
    status, told = details()
    assert (status, told["refused"]) == (0, [])
    assert [(one["names"], one["routes"]) for one in told["certificates"]] == [([], []), (["*.w.example"], ["shop/one", "shop/wild"])]


def test_what_nobody_is_shown_comes_last(details, certs, site, authority):
    """Routes are stronger than directories, name by name."""
    own = authority.issue("one.example")
    (site / "certs.d" / "one.pem").write_text(authority.issue("one.example").bundle)
    (site / "routes.yaml").write_text(route("own", "one.example", own))
    _, told = details()
    assert [(one["names"], one["from"][0].split(" ")[0]) for one in told["certificates"]] == [
        ([], "default.pem:6"), (["one.example"], "route"), ([], "certs.d/one.pem:6"),
    ]
    assert certs()[1].splitlines()[-1].startswith("(nobody)")


def test_what_was_refused_is_told_with_its_reason(certs, details, site, authority):
    key = key_of("ec")
    (site / "certs.d" / "a.pem").write_text(authority.issue("a.example").chain_pem)
    (site / "certs.d" / "b.pem").write_text(pem(made("b.example", key, days=(-9, -1))) + key_pem(key))
    one, two = authority.issue("c.example"), authority.issue("d.example", sort="rsa")
    broken = type(one)(one.certificate, two.key, one.between)
    (site / "routes.yaml").write_text(route("bad", "c.example", broken))
    status, told = certs()
    assert status == 1
    lines = told.splitlines()
    refused = lines[lines.index("refused:") + 1:]
    assert "  certs.d/a.pem: there is no private key in it, and none beside it" in refused
    assert any(line.startswith("  certs.d/b.pem:1: it expired at ") for line in refused)
    assert any("routes.yaml" in line and "this is not the key of the certificate" in line for line in refused)
    assert one.key_pem.split("\n")[1] not in told
    status, told = details()
    assert status == 1
    reason = "there is no private key in it, and none beside it"
    assert {"where": "certs.d/a.pem", "object": "", "key": "", "reason": reason} in told["refused"]


def test_one_that_has_expired_is_a_failure(certs, site):
    key = key_of("ec")
    (site / "default.pem").write_text(pem(made("old", key, days=(-9, -2))) + key_pem(key))
    status, told = certs()
    assert status == 1
    assert "(default)    -" in told
    assert "it expired at" in told


def test_a_default_that_cannot_be_read_is_told(certs, site):
    (site / "default.pem").unlink()
    status, told = certs()
    assert status == 1
    assert "tls.default_certificate: default.pem: cannot be read: No such file or directory" in told


def test_without_a_default_the_one_to_come_is_told(certs, site):
    text = (site / "edged.toml").read_text().replace('default_certificate = "default.pem"\n', "")
    (site / "edged.toml").write_text(text)
    status, told = certs()
    assert status == 0
    assert "a self-signed one is made when edged starts" in told
    assert not (site / "state").exists()


def test_what_others_wrote_stays_in_its_column(certs, site):
    key = key_of("ec")
    (site / "default.pem").write_text(pem(made("a", key, "evil\x1b[2J\n\u202eissuer" + "x" * 30, key)) + key_pem(key))
    assert "evil?[2J??issuer" in certs()[1]
    assert "\x1b" not in certs()[1]


def test_help_teaches_by_example(capsys):
    with pytest.raises(SystemExit):
        cli.main(["certs", "--help"])
    assert "edged certs --json" in capsys.readouterr().out
