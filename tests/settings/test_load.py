import msgpack
import pytest

from edged._fast.run.syslog import FACILITIES, SEVERITIES
from edged.errors import StartError
from edged.model.listener import AcceptProxy, Mode
from edged.settings import InvalidSettings, Settings
from edged.settings.annotate import annotated
from edged.settings.keys import keys_of
from edged.settings.load import load, read
from edged.settings.tables import TABLES, ListenerTable, LogTable

WEB = '[[listener]]\naddress = "127.0.0.1:8080"\n'


@pytest.fixture
def written(tmp_path):
    """Writes a settings file and reads it: the settings, and the problems as an operator sees them, without the file's name."""

    def write(text, environ=None):
        path = tmp_path / "edged.toml"
        path.write_text(text)
        settings, problems = read(str(path), environ or {})
        return settings, [str(problem).removeprefix(f"{path}:") for problem in problems]

    return write


def test_a_minimal_file(written):
    settings, problems = written(WEB)
    assert problems == []
    (listener,) = settings.listeners
    assert (listener.number, listener.name, listener.mode, listener.accept_proxy) == (0, "http-8080", Mode.HTTP, AcceptProxy.OFF)
    assert settings.worker.count >= 1
    assert settings.worker.max_header_bytes == 16384 - 1024
    assert settings.timeouts.client_ms == 30_000
    assert settings.log.target == "stderr"
    assert settings.notes == ()


def test_every_problem_is_reported_with_file_line_and_key(tmp_path):
    path = tmp_path / "edged.toml"
    path.write_text(
        '[[listener]]\naddress = "nowhere:80"\naccpt_proxy = true\n[worker]\ncount = "two"\n[timeouts]\nclien = "3s"\nserver = "0"\n'
    )
    with pytest.raises(InvalidSettings) as caught:
        load(str(path), {})
    assert str(caught.value).splitlines() == [
        f'{path}:2: listener[0].address: "nowhere:80": "nowhere" is no IP address: write "127.0.0.1:8080", "[::]:80" or "unix:/path"',
        f'{path}:3: listener[0].accpt_proxy: unknown key; did you mean "accept_proxy"?',
        f"{path}:5: worker.count: write a whole number, not a text",
        f'{path}:7: timeouts.clien: unknown key; did you mean "client"?',
        f"{path}:8: timeouts.server: 0ms is out of range: 1ms to 2147483647ms",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "nothing to listen on"),
        ('listener = "x"', 'write [[listener]]'),
        ("[[listener]]\n", "1: listener[0]: address is missing"),
        ('[[listener]]\naddress = ""', "1: listener[0]: address is missing"),
        ('[[listener]]\naddress = "127.0.0.1:1"\nmode = "tcp"', "needs a route"),
        (WEB + 'route = "x"', "3: listener[0].route: it is for mode tcp"),
        (WEB + 'mode = "tpc"', '"tpc" is none of http, https, tcp'),
        (WEB + 'accept_proxy = "trusted-only"', 'trusted-only needs "trusted"'),
        (WEB + 'trusted = ["10.0.0.0/8"]', "it has no meaning without accept_proxy"),
        (WEB + 'accept_proxy = true\ntrusted = ["10.0.0.1/8"]', 'write "10.0.0.0/8"'),
        (WEB + 'monitor = true', "3: listener[0].monitor: true or false is none of off, local, all"),
        (WEB + 'mode = "tcp"\nroute = "x"\nmonitor = "all"', "5: listener[0].monitor: it is for modes http and https"),
        (WEB + '[run]\ntunnel_drain_timeout = "-1s"', "run.tunnel_drain_timeout: "),
        (WEB + 'name = "a b"', "is no name"),
        (WEB + 'name = "a"\n[[listener]]\naddress = "127.0.0.1:1"\nname = "a"', '6: listener[1].name: "a" is that of listener[0] already'),
        (WEB + WEB, '4: listener[1].address: "127.0.0.1:8080" is that of listener[0] already'),
        (WEB + "permissions = 0o1000", "512 is out of range: 0o000 to 0o777"),
        (WEB + "[client]\n", 'client: unknown key; it belongs in [timeouts]'),
        (WEB + "zzz = 1\n", "unknown key; known are address, name,"),
        (WEB + "[timouts]\n", 'timouts: unknown key; did you mean "timeouts"?'),
        (WEB + "worker = 1", 'worker: unknown key'),
        (WEB + "[timeouts]\nclient = true", 'write a time such as "30s", not true or false'),
        (WEB + '[timeouts]\nclient = "25d"', "out of range"),
        (WEB + "[timeouts]\nclient = 1.5", "not a number"),
        (WEB + "[worker]\ncount = true", "write a whole number, not true or false"),
        (WEB + "[worker]\ncount = 65", "65 is out of range: 0 to 64"),
        (WEB + '[worker]\nbuffer_bytes = "1t"', "is no size"),
        (WEB + '[worker]\nrewrite_bytes = "16k"', "leaves no room for a head"),
        (WEB + "[worker]\nmax_header_bytes = 16384", "a head must fit in buffer_bytes less rewrite_bytes: 15360"),
        (WEB + "[worker]\nsplice = 1", "write true or false, not a whole number"),
        (WEB + '[log]\ntarget = "file:relative"', "is no target"),
        (WEB + '[log]\ntarget = "syslog:host:99999"', "is no target"),
        (WEB + '[log]\ntarget = "syslog"', "is no target"),
        (WEB + '[log]\ntag = "a\\nb"', "control characters"),
        (WEB + '[run]\ngroup = "adm"', "run.group: it needs a user"),
        (WEB + '[defaults.error_files]\n503 = "missing"', "missing: cannot be read"),
        (WEB + '[defaults.error_files]\n504 = "x"', "unknown key; did you mean"),
        (WEB + "[router]\noverride_hostname = true", "it needs a template in subdomain"),
        (WEB + '[router]\ncanonical_hostname = "10.0.0.1"', "is no domain name"),
        (WEB + "[sources]\nfiles = 3", "write [sources.files]"),
        (WEB + "[sources.router]\n", "no source may have this name"),
        (WEB + "[sources.x]\nwhen = 1979-05-27", "dates and times have no place here"),
        (WEB + "[sources.x]\nn = 99999999999999999999", "have no place here"),
    ],
)
def test_problems(written, text, problem):
    _, problems = written(text)
    assert any(problem in line for line in problems), problems


def test_toml_that_is_none_is_told_with_its_line(tmp_path):
    path = tmp_path / "edged.toml"
    path.write_text("[worker]\ncount = \n")
    with pytest.raises(InvalidSettings, match=r":2: invalid value"):
        load(str(path), {})
    path.write_text("[worker]\ncount = [")
    with pytest.raises(InvalidSettings, match=r":2: "):
        load(str(path), {})
    path.write_bytes(b"[worker]\n\n# \xff")
    with pytest.raises(InvalidSettings, match=r":3: the file is not UTF-8"):
        load(str(path), {})
    path.write_text("a = " + "[" * 100_000)
    with pytest.raises(InvalidSettings, match="nested too deeply"):
        load(str(path), {})


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(StartError, match="cannot be read: No such file"):
        load(str(tmp_path / "none.toml"), {})
    with pytest.raises(StartError, match="cannot be read: Is a directory"):
        load(str(tmp_path), {})


def test_the_defaults_file_is_sound_and_changes_nothing(written):
    settings, problems = written(annotated())
    assert problems == []
    plain, _ = written('[[listener]]\naddress = "0.0.0.0:8080"\n')
    for table in TABLES:
        if table != "defaults.error_files":
            assert getattr(settings, table) == getattr(plain, table)
    assert settings.listeners == plain.listeners


def test_the_defaults_file_names_every_key_and_variable():
    text = annotated()
    for kind in (ListenerTable, *TABLES.values()):
        for key in keys_of(kind):
            assert f"{key.name} = " in text
            assert all(word.name in text for word in key.env)
            assert key.doc in text.replace("\n#  ", "") or key.doc.split()[0] in text


@pytest.mark.parametrize(
    ("text", "tunnels_ms", "most_ms"),
    [("", 30_000, 30_000), ('tunnel_drain_timeout = "2h"', 7_200_000, 7_200_000), ('tunnel_drain_timeout = "5s"', 5000, 30_000),
     ('drain_timeout = "1m"', 60_000, 60_000), ('drain_timeout = "1m"\ntunnel_drain_timeout = "0"', 60_000, 60_000)],
)
def test_tunnels_have_as_long_as_exchanges_in_a_drain_unless_it_is_said(written, text, tunnels_ms, most_ms):
    settings, problems = written(f"{WEB}[run]\n{text}\n")
    assert problems == []
    assert (settings.run.drain_tunnels_ms, settings.run.drain_most_ms) == (tunnels_ms, most_ms)


def test_settings_of_an_earlier_version_have_what_it_did_not_know(written):
    settings, _ = written(WEB)
    body = msgpack.unpackb(msgpack.packb(settings.to_wire()))
    del body["run"]["tunnel_drain_timeout_ms"], body["listeners"][0]["monitor"]
    assert Settings.from_wire(body) == settings


def test_settings_travel_over_the_wire(written, tmp_path):
    (tmp_path / "503").write_bytes(b"HTTP/1.0 503 No\r\n\r\nno\xff")
    settings, problems = written(
        WEB + 'accept_proxy = "trusted-only"\ntrusted = ["10.0.0.0/8"]\n[[listener]]\naddress = "unix:/x"\npermissions = 0o600\n'
        '[router]\nallowed_domains = ["a.example"]\n[sources.files]\npaths = ["a", "b"]\n[defaults.error_files]\n503 = "503"\n'
    )
    assert problems == []
    assert settings.error_files[503].endswith(b"no\xff")
    assert Settings.from_wire(msgpack.unpackb(msgpack.packb(settings.to_wire()))) == settings


def test_names_are_made_unique(written):
    settings, _ = written(
        WEB + '[[listener]]\naddress = "127.0.0.2:8080"\n[[listener]]\naddress = "[::1]:1"\nname = "http-8080-2"\n'
        '[[listener]]\naddress = "unix:/run/a b"\n'
    )
    names = [listener.name for listener in settings.listeners]
    assert names == ["http-8080", "http-8080-3", "http-8080-2", "http-a-b"]


def test_accept_proxy_takes_truths(written):
    settings, problems = written(WEB + "accept_proxy = true\n[[listener]]\naddress = '127.0.0.1:0'\naccept_proxy = false\n")
    assert problems == []
    assert [listener.accept_proxy for listener in settings.listeners] == [AcceptProxy.REQUIRED, AcceptProxy.OFF]


@pytest.mark.parametrize(
    ("target", "read_as"),
    [
        ("syslog:10.0.0.1", "syslog:10.0.0.1:514"), ("syslog:log.example:1514", "syslog:log.example:1514"),
        ("syslog:[::1]:514", "syslog:[::1]:514"), ("syslog:::1", "syslog:[::1]:514"), ("syslog:/dev/log", "syslog:/dev/log"),
        ("file:/var/log/edged", "file:/var/log/edged"), ("off", "off"),
    ],
)
def test_log_targets(written, target, read_as):
    settings, problems = written(f'{WEB}[log]\ntarget = "{target}"')
    assert problems == []
    assert settings.log.target == read_as


@pytest.mark.parametrize(
    "raw", [b"", b"<html>", b"HTTP/1.1 503 x\r\n", b"HTTP/2 503\r\n\r\n", b"HTTP/1.0 200 " + b"x" * 70000 + b"\r\n\r\n"]
)
def test_error_files_are_whole_responses(written, tmp_path, raw):
    (tmp_path / "page").write_bytes(raw)
    _, problems = written(WEB + '[defaults.error_files]\n404 = "page"')
    assert len(problems) == 1
    assert problems[0].startswith("4: defaults.error_files.404: page: ")


def test_paths_start_from_the_file(written, tmp_path):
    settings, _ = written(WEB + '[run]\nstate_dir = "state"\n[sources.files]\npaths = ["r"]\n')
    assert settings.run.state_dir == str(tmp_path / "state")
    given = settings.plugin_settings()
    assert given["__dir__"] == str(tmp_path)
    assert given["files"] == {"paths": ["r"]}
    assert given["router"]["forwarded"] == "append"
    assert given["router"]["balance"] == "random"
    assert given["defaults"]["balance"] == "roundrobin"


def test_syslog_words_are_those_of_the_log_room():
    words = {key.name: key.kind.words for key in keys_of(LogTable) if key.name in ("facility", "level")}
    assert set(words["facility"]) == set(FACILITIES)
    assert set(words["level"]) == set(SEVERITIES)
