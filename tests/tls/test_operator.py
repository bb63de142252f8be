"""Where the operator's certificates come from, and how they change (openshift-routes.md 7.2, 7.6)."""

import logging
import os
import stat
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest
import trio
import trio.testing

from edged.settings import InvalidSettings
from edged.settings.load import load
from edged.tls import operator, selfsigned
from edged.tls.operator import OperatorCertificates
from tests.scenarios.harness.authority import key_of
from tests.tls.odd import answer, key_pem, made, pem

HTTPS = '[[listener]]\naddress = "127.0.0.1:0"\nmode = "https"\n'
SOON_S = 10


@pytest.fixture(scope="module")
def one(authority):
    return authority.issue("one.example")


@pytest.fixture(scope="module")
def two(authority):
    return authority.issue("two.example", number=1)


@pytest.fixture
def settings(tmp_path):
    def go(tls="", head=HTTPS, more="", **variables):
        path = tmp_path / "edged.toml"
        path.write_text(f'{head}[run]\nstate_dir = "state"\n{more}\n[tls]\n{tls}\n')
        (tmp_path / "state").mkdir(exist_ok=True)
        return load(str(path), variables)

    return go


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "certs.d"
    path.mkdir()
    return path


def loaded(settings, **words):
    given = OperatorCertificates(settings, **words)
    trio.run(given.load)
    return given


def refusal(settings):
    with pytest.raises(InvalidSettings) as caught:
        loaded(settings)
    return str(caught.value)


def shown(given):
    """Name to the file it is from."""
    return {name: os.path.basename(one.origin.where) for name, one in given.names.items()}


class Followed:
    """A play: files change, and what is shown follows."""

    def __init__(self, given):
        self.given = given
        self.count = 0
        self._changed = trio.Event()

    def changed(self):
        self.count += 1
        self._changed.set()

    async def until(self, condition):
        with trio.fail_after(SOON_S):
            while not condition():
                await self._changed.wait()
                self._changed = trio.Event()


def follow(settings, play):
    async def main():
        followed = Followed(OperatorCertificates(settings))
        await followed.given.load()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(followed.given.follow, followed.changed)
            await trio.testing.wait_all_tasks_blocked(0.05)
            await play(followed)
            nursery.cancel_scope.cancel()

    trio.run(main)


def turn(mount, version, files):
    """As a secret is mounted: links to `..data`, which is turned to another folder at once."""
    target = mount / f"..{version}"
    target.mkdir(parents=True)
    for name, text in files.items():
        (target / name).write_text(text)
        if not (mount / name).is_symlink():
            (mount / name).symlink_to(f"..data/{name}")
    (mount / "..new").symlink_to(f"..{version}")
    (mount / "..new").rename(mount / "..data")


# ---- the default certificate


def test_sources_of_the_default_in_their_order(settings, tmp_path, authority, one, two):
    three = authority.issue("three.example")
    (tmp_path / "two.pem").write_text(two.bundle)
    turn(tmp_path / "mounted", 1, {"tls.crt": three.chain_pem, "tls.key": three.key_pem})
    variables = {"DEFAULT_CERTIFICATE": one.bundle, "DEFAULT_CERTIFICATE_PATH": "two.pem", "DEFAULT_CERTIFICATE_DIR": "mounted"}
    for gone, expected in [("", one), ("DEFAULT_CERTIFICATE", two), ("DEFAULT_CERTIFICATE_PATH", three)]:
        variables.pop(gone, None)
        assert loaded(settings(**variables)).default.chain[0] == expected.der
    assert loaded(settings('default_certificate = "two.pem"', DEFAULT_CERTIFICATE=one.bundle)).default.chain[0] == two.der
    assert loaded(settings('default_certificate_dir = "mounted"', DEFAULT_CERTIFICATE_PATH="two.pem")).default.chain[0] == three.der


def test_a_folder_combines_its_files_only_if_it_must(settings, tmp_path, one, two):
    def of(crt, key):
        for name, text in (("tls.crt", crt), ("tls.key", key)):
            (tmp_path / name).write_text(text)
        return loaded(settings('default_certificate_dir = "."')).default.chain[0]

    assert of(one.chain_pem.rstrip("\n"), one.key_pem) == one.der
    assert of(one.bundle, two.key_pem) == one.der
    assert of(one.bundle, "-----BEGIN PRIVATE KEY-----\nx") == one.der
    assert of("text\n" + one.chain_pem, key_pem(one.key, "old")) == one.der


@pytest.mark.parametrize(("tls", "variables", "told"), [
    ('default_certificate = "gone.pem"', {}, "edged.toml:8: tls.default_certificate: {}/gone.pem: cannot be read: No such file"),
    ('default_certificate_dir = "gone"', {}, "edged.toml:8: tls.default_certificate_dir: {}/gone/tls.crt: cannot be read"),
    ('default_certificate = "broken.pem"', {}, "tls.default_certificate: {}/broken.pem:2: this certificate does not parse"),
    ("", {"DEFAULT_CERTIFICATE_PATH": "gone.pem"}, "environment: DEFAULT_CERTIFICATE_PATH: {}/gone.pem: cannot be read"),
    ("", {"DEFAULT_CERTIFICATE_DIR": "gone"}, "environment: DEFAULT_CERTIFICATE_DIR: {}/gone/tls.crt: cannot be read"),
    ("", {"DEFAULT_CERTIFICATE": "\n-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----"},
     "environment: DEFAULT_CERTIFICATE: line 2: this certificate does not parse"),
    ("", {"DEFAULT_CERTIFICATE": "x"}, "environment: DEFAULT_CERTIFICATE: there is no certificate in it"),
    ('destination_ca = "broken.pem"', {}, "tls.destination_ca: {}/broken.pem:2: this certificate does not parse"),
    ('destination_ca = "empty.pem"', {}, "tls.destination_ca: {}/empty.pem: there is no certificate in it"),
])
def test_what_keeps_edged_from_starting(settings, tmp_path, tls, variables, told):
    (tmp_path / "broken.pem").write_text("\n-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----\n")
    (tmp_path / "empty.pem").write_text("nothing")
    assert told.format(tmp_path) in refusal(settings(tls, **variables))


def test_an_expired_default_is_better_than_none(settings, tmp_path, caplog):
    key = key_of("ec")
    (tmp_path / "old.pem").write_text(pem(made("old", key, days=(-9, -1))) + key_pem(key))
    given = loaded(settings('default_certificate = "old.pem"'))
    assert given.default is not None
    assert "it expired at" in str(given.problems[0])


def test_without_a_listener_for_tls_nothing_is_read(settings, tmp_path):
    given = loaded(settings('default_certificate = "gone.pem"\ncertificates = ["gone"]', head='[[listener]]\naddress = "127.0.0.1:0"\n'))
    assert (given.default, given.names, given.problems) == (None, {}, ())


# ---- the self-signed one


def test_with_none_configured_one_is_made_and_kept(settings, tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    given = loaded(settings(more='[router]\ndomain = "apps.example"\n'))
    assert "self-signed" in caplog.text
    path = tmp_path / "state" / selfsigned.FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list((tmp_path / "state").iterdir()) == [path]
    bundle = selfsigned.kept(str(tmp_path / "state"), "apps.example")
    assert bundle.names == ("*.apps.example", selfsigned.COMMON_NAME)
    assert bundle.certificate == given.default
    assert datetime.fromtimestamp(bundle.ends_s, UTC).year == datetime.now(UTC).year + 10
    assert 0 < time.time() - bundle.begins_s - 3600 < 60
    again = OperatorCertificates(settings(more='[router]\ndomain = "apps.example"\n'))
    trio.run(again.load)
    assert again.default == given.default
    assert loaded(settings()).default != given.default               # for another domain: localhost


def test_one_that_cannot_be_kept_is_shown_all_the_same(settings, tmp_path, caplog):
    given = settings()
    os.rmdir(tmp_path / "state")
    assert loaded(given).default is not None
    assert "another one after each restart" in caplog.text


def test_a_broken_one_is_made_anew(settings, tmp_path):
    first = loaded(settings()).default
    (tmp_path / "state" / selfsigned.FILE).write_text("x")
    second = loaded(settings()).default
    assert second not in (None, first)
    assert loaded(settings()).default == second


def test_nothing_is_made_for_those_who_only_look(settings, tmp_path):
    assert loaded(settings(), make=False).default is None
    assert list((tmp_path / "state").iterdir()) == []
    made_before = loaded(settings()).default
    assert loaded(settings(), make=False).default == made_before


# ---- [tls] certificates


def test_a_directory_of_bundles(settings, folder, authority, one, two):
    (folder / "one.pem").write_text(one.bundle)
    (folder / "two.crt").write_text(two.chain_pem)
    (folder / "two.key").write_text(two.key_pem)
    (folder / "wild.pem").write_text(authority.issue("x", ["*.wild.example", "wild.example"]).bundle)
    for name in (".hidden", "#auto#", "one.pem~", "two.issuer", "x.ocsp", "x.sctl"):
        (folder / name).write_text("x")
    (folder / "sub").mkdir()
    given = loaded(settings('certificates = ["certs.d"]'))
    assert shown(given) == {
        "one.example": "one.pem", "two.example": "two.crt", "*.wild.example": "wild.pem", "wild.example": "wild.pem", "x": "wild.pem",
    }
    assert given.problems == ()


def test_files_and_directories_in_order_the_first_is_shown(settings, folder, tmp_path, authority, one):
    again = authority.issue("again", ["one.example", "again.example"])
    (tmp_path / "single.pem").write_text(again.bundle)
    (folder / "a.pem").write_text(one.bundle)
    (folder / "b.pem").write_text(authority.issue("one.example").bundle)
    given = loaded(settings('certificates = ["single.pem", "certs.d", "certs.d/a.pem"]'))
    assert shown(given) == {"one.example": "single.pem", "again.example": "single.pem", "again": "single.pem"}
    where, line = given.names["one.example"].origin, one.key_pem.count("\n") + 1
    assert [str(problem) for problem in given.problems] == [
        f"{folder}/{name}:{line}: nobody is shown it: for one.example there is {where}" for name in ("a.pem", "b.pem")
    ]


def test_a_bad_file_stops_nobody(settings, folder, one, two, caplog):
    caplog.set_level(logging.WARNING)
    (folder / "a.pem").write_text(one.chain_pem)
    (folder / "b.pem").write_text(two.bundle)
    (folder / "c.pem").write_text("x")
    key = key_of("ec")
    (folder / "d.pem").write_text(pem(made("d.example", key, days=(-9, -1))) + key_pem(key))
    (folder / "e.pem").write_text(pem(made("e.example", key, days=(1, 9))) + key_pem(key))
    (folder / "f.pem").write_text(pem(made("Some authority", key)) + key_pem(key))
    given = loaded(settings('certificates = ["certs.d", "gone"]'))
    assert shown(given) == {"two.example": "b.pem"}
    told = [str(problem).removeprefix(str(folder.parent)) for problem in given.problems]
    assert told[:3] == [
        "/gone: there is no such file or directory; it is waited for",
        "/certs.d/a.pem: there is no private key in it, and none beside it", "/certs.d/c.pem: there is no certificate in it",
    ]
    assert told[3].startswith("/certs.d/d.pem:1: it expired at ")
    assert told[4].startswith("/certs.d/e.pem:1: it is not valid before ")
    assert told[5:] == ["/certs.d/f.pem:1: it bears no host name, so nobody is shown it"]
    assert all(line in caplog.text for line in told)


@pytest.mark.parametrize("source", ["file", "variable"])
def test_encrypted_keys(settings, folder, tmp_path, monkeypatch, one, source):
    (folder / "one.pem").write_text(one.chain_pem + one.locked_key_pem("sesame"))
    (tmp_path / "secret").write_text("sesame\nanother line\n")
    monkeypatch.setenv("SESAME", "sesame")
    tls = 'key_passphrase_file = "secret"\n' if source == "file" else 'key_passphrase_env = "SESAME"\n'
    assert shown(loaded(settings(tls + 'certificates = ["certs.d"]', SESAME="sesame"))) == {"one.example": "one.pem"}
    assert "key_passphrase_file" in str(loaded(settings('certificates = ["certs.d"]')).problems[0])


def test_progress_is_told(settings, folder, authority, caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(operator, "_PROGRESS_S", -1.0)
    for number in range(3):
        (folder / f"{number}.pem").write_text(authority.issue(f"{number}.example").bundle)
    loaded(settings('certificates = ["certs.d"]'))
    assert "2 of 3 certificates are read" in caplog.text
    assert "3 of 3 certificates in files are sound; read in 0." in caplog.text


def test_other_tasks_go_on_while_thousands_are_read(settings, folder, one, monkeypatch):
    monkeypatch.setattr(operator, "_AT_ONCE_S", 0.0)
    for number in range(50):
        (folder / f"{number}.pem").write_text(one.bundle)
    turns = 0

    async def main():
        nonlocal turns
        given = OperatorCertificates(settings('certificates = ["certs.d"]'))
        async with trio.open_nursery() as nursery:

            async def count():
                nonlocal turns
                while True:
                    turns += 1
                    await trio.lowlevel.checkpoint()

            nursery.start_soon(count)
            await given.load()
            nursery.cancel_scope.cancel()

    trio.run(main)
    assert turns >= 50


# ---- changes


def test_files_come_change_and_go(settings, folder, authority, one, two):
    (folder / "one.pem").write_text(one.bundle)

    async def play(followed):
        given = followed.given
        (folder / "two.pem").write_text(two.bundle)
        await followed.until(lambda: shown(given) == {"one.example": "one.pem", "two.example": "two.pem"})
        before = given.names
        newer = authority.issue("one.example")
        (folder / "new").write_text(newer.bundle)
        (folder / "new").rename(folder / "one.pem")
        await followed.until(lambda: given.names["one.example"].chain[0] == newer.der)
        assert given.names["two.example"] is before["two.example"]                     # not even read again
        assert before["one.example"].chain[0] == one.der                               # who still has the old mapping keeps it
        (folder / "two.pem").unlink()
        await followed.until(lambda: shown(given) == {"one.example": "one.pem"})

    follow(settings('certificates = ["certs.d"]'), play)


def test_a_bad_file_never_takes_the_place_of_a_good_one(settings, folder, one, two, authority):
    (folder / "one.pem").write_text(one.bundle)
    key = key_of("ec")

    async def play(followed):
        given = followed.given
        for text, why in [
            (one.chain_pem + two.key_pem.replace("PRIVATE", "NO"), "NO KEY"), (one.bundle[:-80], "no END"),
            (pem(made("one.example", key, days=(-9, -1))) + key_pem(key), "expired"),
            (pem(made("one.example", key, days=(1, 9))) + key_pem(key), "not valid before"),
            (authority.issue("one.example", sort="rsa1024").bundle, "1024"),
        ]:
            (folder / "one.pem").write_text(text)
            await followed.until(lambda why=why: any(why in str(problem) for problem in given.problems))
            assert given.names["one.example"].chain[0] == one.der
        (folder / "one.pem").write_text(authority.issue("one.example", sort="rsa").bundle)
        await followed.until(lambda: not given.problems)
        assert given.names["one.example"].chain[0] != one.der

    follow(settings('certificates = ["certs.d"]'), play)


def test_a_bad_ocsp_answer_takes_the_place_of_no_good_one(settings, folder, authority, one):
    good = answer(one, authority.intermediate)
    (folder / "one.pem").write_text(one.bundle)
    (folder / "one.ocsp").write_bytes(good)

    async def play(followed):
        given = followed.given
        assert given.names["one.example"].ocsp == good
        (folder / "one.ocsp").write_bytes(b"x")
        await followed.until(lambda: given.problems)
        assert given.names["one.example"].ocsp == good
        newer = answer(one, authority.intermediate, days=(-1, 5))
        (folder / "one.ocsp").write_bytes(newer)
        await followed.until(lambda: given.names["one.example"].ocsp == newer and not given.problems)
        (folder / "one.ocsp").unlink()
        await followed.until(lambda: given.names["one.example"].ocsp == b"")

    follow(settings('certificates = ["certs.d"]'), play)


def test_an_ocsp_answer_that_runs_out_is_shown_no_longer(settings, folder, authority, one, monkeypatch):
    (folder / "one.pem").write_text(one.bundle)
    (folder / "one.ocsp").write_bytes(answer(one, authority.intermediate, days=(-1, 1)))
    given = loaded(settings('certificates = ["certs.d"]', DEFAULT_CERTIFICATE=one.bundle))
    assert given.names["one.example"].ocsp
    later_s = time.time() + 86400 + 60
    monkeypatch.setattr(time, "time", lambda: later_s)
    trio.run(given.load)
    assert given.names["one.example"].ocsp == b""
    assert "its time is over" in str(given.problems[0])


def test_a_bad_file_does_not_keep_an_ocsp_answer_alive(settings, folder, authority, one, monkeypatch):
    (folder / "one.pem").write_text(one.bundle)
    (folder / "one.ocsp").write_bytes(answer(one, authority.intermediate, days=(-1, 1)))
    given = loaded(settings('certificates = ["certs.d"]', DEFAULT_CERTIFICATE=one.bundle))
    (folder / "one.pem").write_text("x")
    trio.run(given.load)
    assert given.names["one.example"].ocsp
    later_s = time.time() + 86400 + 60
    monkeypatch.setattr(time, "time", lambda: later_s)
    trio.run(given.load)
    assert given.names["one.example"].ocsp == b""
    assert given.names["one.example"].chain[0] == one.der


def test_the_key_may_come_after_the_certificate(settings, folder, one):
    async def play(followed):
        (folder / "one.pem").write_text(one.chain_pem)
        await followed.until(lambda: followed.given.problems)
        (folder / "one.key").write_text(one.key_pem)
        await followed.until(lambda: shown(followed.given) == {"one.example": "one.pem"} and not followed.given.problems)

    follow(settings('certificates = ["certs.d"]'), play)


def test_a_directory_may_come_later_and_be_a_link(settings, tmp_path, one):
    async def play(followed):
        real = tmp_path / "elsewhere" / "certs"
        real.mkdir(parents=True)
        (real / "one.pem").write_text(one.bundle)
        (tmp_path / "certs.d").symlink_to(real)
        await followed.until(lambda: shown(followed.given) == {"one.example": "one.pem"})
        (real / "one.pem").unlink()
        await followed.until(lambda: not shown(followed.given))

    follow(settings('certificates = ["certs.d"]'), play)


def test_a_directory_that_goes_away_takes_nothing_with_it(settings, folder, tmp_path, one, two):
    (folder / "one.pem").write_text(one.bundle)
    (tmp_path / "two.pem").write_text(two.bundle)

    async def play(followed):
        given = followed.given
        folder.rename(tmp_path / "moved")
        (tmp_path / "two.pem").unlink()
        await followed.until(lambda: len(given.problems) == 2)
        assert shown(given) == {"one.example": "one.pem", "two.example": "two.pem"}
        folder.mkdir()
        await followed.until(lambda: shown(given) == {"two.example": "two.pem"})

    follow(settings('certificates = ["certs.d", "two.pem"]'), play)


def test_mounted_secrets_are_turned(settings, tmp_path, one, two, authority):
    mount = tmp_path / "mounted"
    three = authority.issue("three.example")
    turn(mount, 1, {"tls.crt": one.chain_pem, "tls.key": one.key_pem})

    async def play(followed):
        given = followed.given
        assert given.default.chain[0] == one.der
        turn(mount, 2, {"tls.crt": two.chain_pem, "tls.key": two.key_pem})
        await followed.until(lambda: given.default.chain[0] == two.der)
        turn(mount, 3, {"tls.crt": three.chain_pem, "tls.key": authority.issue("x", sort="rsa").key_pem})
        await followed.until(lambda: given.problems)
        assert given.default.chain[0] == two.der
        assert f"{mount}/tls.key:1: this is not the key of the certificate" in str(given.problems[0])
        turn(mount, 4, {"tls.crt": three.chain_pem, "tls.key": three.key_pem})
        await followed.until(lambda: given.default.chain[0] == three.der)
        assert given.problems == ()

    follow(settings('default_certificate_dir = "mounted"'), play)


def test_a_default_that_goes_away_stays(settings, tmp_path, one):
    (tmp_path / "default.pem").write_text(one.bundle)

    async def play(followed):
        (tmp_path / "default.pem").unlink()
        await followed.until(lambda: followed.given.problems)
        assert followed.given.default.chain[0] == one.der

    follow(settings('default_certificate = "default.pem"'), play)


def test_a_passphrase_that_comes_later_opens_what_was_closed(settings, folder, tmp_path, one):
    (folder / "one.pem").write_text(one.chain_pem + one.locked_key_pem("sesame"))
    (tmp_path / "secret").write_text("simsim\n")

    async def play(followed):
        assert "does not open" in str(followed.given.problems[0])
        (tmp_path / "secret").write_text("sesame\n")
        await followed.until(lambda: shown(followed.given) == {"one.example": "one.pem"})

    follow(settings('key_passphrase_file = "secret"\ncertificates = ["certs.d"]'), play)


def test_one_that_is_not_valid_yet_is_shown_when_it_is(settings, folder, monkeypatch):
    key = key_of("ec")
    (folder / "one.pem").write_text(pem(made("one.example", key, days=(1, 9))) + key_pem(key))
    given = loaded(settings('certificates = ["certs.d"]', DEFAULT_CERTIFICATE=pem(made("x", key)) + key_pem(key)))
    assert given.names == {}
    later_s = time.time() + 86400 + 60
    monkeypatch.setattr(time, "time", lambda: later_s)
    trio.run(given.load)
    assert shown(given) == {"one.example": "one.pem"}


def test_without_inotify_it_looks_from_time_to_time(settings, folder, one, monkeypatch):
    monkeypatch.setattr(operator, "_BLIND_S", 0.2)    # longer than the play takes to begin
    monkeypatch.setattr(operator.Watch, "keep", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))

    async def play(followed):
        (folder / "one.pem").write_text(one.bundle)
        await followed.until(lambda: shown(followed.given))
        (folder / "one.pem").unlink()
        await followed.until(lambda: not shown(followed.given))

    follow(settings('certificates = ["certs.d"]'), play)


# ---- whom endpoints are believed


def test_destination_authorities(settings, tmp_path, authority, other):
    (tmp_path / "ca.pem").write_text(authority.pem + authority.intermediate.pem)

    async def play(followed):
        given = followed.given
        assert given.destination.authorities == (authority.root.der, authority.intermediate.der)
        assert given.destination.verify
        (tmp_path / "ca.pem").write_text("x")
        await followed.until(lambda: given.problems)
        assert given.destination.authorities[0] == authority.root.der
        (tmp_path / "ca.pem").write_text(other.pem)
        await followed.until(lambda: given.destination.authorities == (other.root.der,))

    follow(settings('destination_ca = "ca.pem"'), play)
    follow(settings(DEFAULT_DESTINATION_CA_PATH=str(tmp_path / "ca.pem")), _nothing)


async def _nothing(followed):
    assert followed.given.destination is not None


def test_the_service_ca_of_the_platform_is_the_default(settings, tmp_path, authority, monkeypatch):
    monkeypatch.setattr(operator, "SERVICE_CA", str(tmp_path / "service-ca.crt"))
    assert loaded(settings()).destination is None
    (tmp_path / "service-ca.crt").write_text(authority.pem)
    assert loaded(settings()).destination.authorities == (authority.root.der,)
    (tmp_path / "service-ca.crt").write_text("x")
    given = loaded(settings())                                   # nobody has asked for it: it is told, and edged starts
    assert given.destination is None
    assert "there is no certificate in it" in str(given.problems[0])


def test_authorities_are_read_where_no_listener_speaks_tls(settings, tmp_path, authority):
    (tmp_path / "ca.pem").write_text(authority.pem)
    assert loaded(settings('destination_ca = "ca.pem"', head='[[listener]]\naddress = "127.0.0.1:0"\n')).destination is not None


def test_a_site_without_tls_loads_no_openssl(tmp_path):
    path = tmp_path / "edged.toml"
    path.write_text('[[listener]]\naddress = "127.0.0.1:0"\n[tls]\ncertificates = ["certs.d"]\n')
    code = f"""
import sys, trio
from edged.settings.load import load
from edged.tls.operator import OperatorCertificates
trio.run(OperatorCertificates(load({str(path)!r}, {{}})).load)
print([name for name in sys.modules if name.partition(".")[0] in ("OpenSSL", "cryptography")])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": ":".join(sys.path)})
    assert done.stdout == "[]\n"
