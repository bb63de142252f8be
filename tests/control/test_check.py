"""What `edged check` finds, without a daemon."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edged.control import check
from edged.hooks import Snapshot, SourceError
from edged.hooks.manager import OfferedSource, Plugins
from edged.settings.load import load
from tests.scenarios.harness.authority import key_of
from tests.tls import lists

SETTINGS = """\
[[listener]]
address = "127.0.0.1:8080"
[[listener]]
address = "127.0.0.1:5432"
mode = "tcp"
route = "postgres"
[sources.files]
paths = ["routes.d"]
"""

Site = Callable[..., list[str]]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """site(routes, settings): the problems of a site, with the folder taken off."""

    def problems(settings: str = SETTINGS, **files: str) -> list[str]:
        (tmp_path / "edged.toml").write_text(settings)
        (tmp_path / "routes.d").mkdir(exist_ok=True)
        for name, text in files.items():
            (tmp_path / "routes.d" / f"{name}.yaml").write_text(text)
        return [str(problem).replace(f"{tmp_path}/", "") for problem in check.problems(load(str(tmp_path / "edged.toml"), {}))]

    return problems


def test_nothing_is_wrong(site: Site) -> None:
    assert site(a="routes:\n- {name: postgres, to: ['127.0.0.1:5432']}\n") == []


def test_every_sort_of_problem_with_file_line_and_key(site: Site) -> None:
    found = site(
        a="routes:\n- host: a.example.com\n  to: []\n- host: a.example.com\n  name: second\n  to: []\n- host: b.example.com\n  pth: []\n",
        b="kind: Route\napiVersion: v1\nmetadata: {name: web, namespace: shop}\n"
          "spec:\n  host: c.example.com\n  path: foo\n  to: {name: web}\n",
        c="kind: Route\napiVersion: v1\nmetadata: {name: star, namespace: shop}\n"
          "spec:\n  host: d.example.com\n  wildcardPolicy: Subdomain\n  to: {name: web}\n---\nkind: Frob\n",
        d="a: [",
    )
    assert found == [
        'edged.toml:6: listener[1].route: there is no route "postgres"',
        "routes.d/a.yaml:4: HostAlreadyClaimed: route second is not admitted: "
        "route a.example.com (routes.d/a.yaml:2) already exposes a.example.com and is older",
        "routes.d/a.yaml:7: routes[2]: to is missing",
        'routes.d/a.yaml:8: routes[2].pth: unknown key; did you mean "path"?',
        'routes.d/b.yaml:6: spec.path: Route shop/web: must begin with "/"',
        "routes.d/c.yaml:1: RouteNotAdmitted: route shop/star is not admitted: wildcard routes are not allowed",
        'routes.d/c.yaml:9: kind: no plugin knows objects of kind "Frob"',
        "routes.d/d.yaml:2: did not find expected node content",
    ]


def test_a_tcp_listener_may_name_an_object(site: Site) -> None:
    text = "kind: Route\napiVersion: v1\nmetadata: {name: db, namespace: shop}\nspec: {host: db.example.com, to: {name: db}}\n"
    assert site(SETTINGS.replace("postgres", "shop/db"), a=text) == []


def test_a_source_that_nobody_knows(site: Site) -> None:
    (found,) = site(SETTINGS.replace("postgres", "x") + "[sources.fiels]\na = 1\n", a="routes:\n- {name: x, to: []}\n")
    assert found.startswith('edged.toml:9: sources.fiels: there is no plugin "fiels"; there are files, openshift')


def test_settings_that_a_plugin_refuses(site: Site) -> None:
    assert site(SETTINGS.replace('["routes.d"]', '"routes.d"')) == [
        'edged.toml:8: sources.files.paths: write a list of files and folders, such as ["routes.d"]'
    ]


class Source:
    name = "other"

    def __init__(self, run: Any) -> None:
        self.run = run


async def ends(publish: Any) -> None:
    return


async def away(publish: Any) -> None:
    raise SourceError("the cluster is away")


async def raises(publish: Any) -> None:
    raise KeyError("x")


async def gives_after(publish: Any) -> None:
    await publish(Snapshot())
    raise AssertionError("one snapshot is enough")


@pytest.mark.parametrize(("run", "told"), [
    (ends, None), (away, "the cluster is away"), (raises, "plugin test failed: KeyError: 'x'"), (gives_after, None),
])
def test_sources_that_fail_are_problems(run: Any, told: str | None, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Plugins, "sources", lambda *_: [OfferedSource("test", Source(run))])
    found = site(SETTINGS.split("[[listener]]")[0] + '[[listener]]\naddress = "127.0.0.1:1"\n[sources.files]\n')
    assert found == ([] if told is None else [f"edged.toml:3: sources.other: {told}"])


def test_a_listener_that_no_worker_could_serve(site: Site, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    settings = '[[listener]]\naddress = "127.0.0.1:8443"\nmode = "https"\nclient_auth = "required"\nclient_ca = "ca.pem"\n'
    (found,) = site(settings=settings)
    assert found.startswith("edged.toml:1: listener[0]: client_ca ca.pem: ")
    (tmp_path / "crl.pem").write_bytes(lists.crl("a", key_of("ec"), extensions=[lists.DELTA]))
    (found,) = site(settings=settings + 'client_crl = "crl.pem"\n')
    assert found.startswith("edged.toml:1: listener[0]: client_crl crl.pem: the CRL of CN=a is a delta")


def test_certificates_of_the_operator(site: Site, tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("nothing")
    settings = '[[listener]]\naddress = "127.0.0.1:8443"\nmode = "https"\n[tls]\n'
    assert site(settings=settings + 'certificates = ["bad.pem", "gone"]\n') == [
        "bad.pem: there is no certificate in it", "gone: there is no such file or directory; it is waited for",
    ]
    assert site(settings=settings + 'default_certificate = "bad.pem"\n') == [
        "edged.toml:5: tls.default_certificate: bad.pem: there is no certificate in it",
    ]
