"""A settings file and the environment become `Settings`; every problem is found, not only the first."""

import difflib
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from edged.errors import StartError
from edged.model.listener import AcceptProxy, Listener, Mode
from edged.model.origin import Origin, Problem
from edged.settings.environment import ENVIRONMENT, HTTP_PORT, HTTPS_PORT, Environment
from edged.settings.keys import Key, keys_of
from edged.settings.lines import key_lines
from edged.settings.settings import InvalidSettings, Settings
from edged.settings.tables import (
    TABLES,
    AdminTable,
    DefaultTable,
    ErrorFileTable,
    ListenerTable,
    LogTable,
    RouterTable,
    RunTable,
    TimeoutTable,
    TlsTable,
    WorkerTable,
)
from edged.tls.profiles import VERSIONS

__all__ = ["FILE_MOST_BYTES", "load", "read"]

FILE_MOST_BYTES = 4 * 1024 * 1024
ERROR_FILE_MOST_BYTES = 64 * 1024
LISTENERS_MOST = 64                              # one message over the wire carries the descriptors of all
CLIENT_KEYS = ("client_auth", "client_ca", "client_crl", "client_filter")       # of a listener, in place of those of [tls]
RESERVED_SOURCES = ("__dir__", "router", "defaults")

T = TypeVar("T")


def load(path: str, environ: Mapping[str, str] = os.environ) -> Settings:
    """Sound settings; raises InvalidSettings with all problems, StartError if the file cannot be read."""
    settings, problems = read(path, environ)
    if problems:
        raise InvalidSettings(tuple(problems))
    return settings


def read(path: str, environ: Mapping[str, str] = os.environ) -> tuple[Settings, list[Problem]]:
    """Settings, with defaults for what is wrong, and the problems; raises as `load` if the file is no TOML at all."""
    try:
        raw = Path(path).read_bytes()
    except OSError as why:
        raise StartError(f"{path}: cannot be read: {why.strerror}") from None
    if len(raw) > FILE_MOST_BYTES:
        raise StartError(f"{path}: {len(raw)} bytes are no settings file")
    try:
        text = raw.decode()
        tree = tomllib.loads(text)
    except UnicodeDecodeError as why:
        line = raw.count(b"\n", 0, why.start) + 1
        raise InvalidSettings((Problem(Origin(path, line), "", "the file is not UTF-8"),)) from None
    except tomllib.TOMLDecodeError as why:
        raise InvalidSettings((_toml_problem(path, text, str(why)),)) from None
    except RecursionError:
        raise InvalidSettings((Problem(Origin(path), "", "values are nested too deeply"),)) from None
    return _Reader(path, text.replace("\r\n", "\n"), tree, Environment(environ)).read()


def _toml_problem(path: str, text: str, why: str) -> Problem:
    match = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)", why)
    line = int(match[1]) if match and match[1] else text.count("\n") + 1
    message = re.sub(r" \(at .*\)$", "", why)
    return Problem(Origin(path, line), "", message[:1].lower() + message[1:])


class _Reader:
    def __init__(self, path: str, text: str, tree: dict[str, Any], environment: Environment) -> None:
        self._tree = tree
        self._environment = environment
        self._problems: list[Problem] = []
        self._settings = Settings(path, str(Path(path).resolve().parent), lines=key_lines(text))

    def read(self) -> tuple[Settings, list[Problem]]:
        for name in self._tree:
            if name not in ("listener", "sources") and name not in TABLES:
                self._unknown(name, name, ("listener", "sources", *TABLES))
        worker = self._decided(self._table(WorkerTable, "worker"))
        router = self._table(RouterTable, "router")
        tls = self._tls(self._table(TlsTable, "tls"))
        settings = replace(
            self._settings,
            listeners=self._listeners(tls),
            sources=self._sources(),
            worker=worker,
            timeouts=self._table(TimeoutTable, "timeouts"),
            tls=tls,
            log=self._log(self._table(LogTable, "log")),
            run=self._run(self._table(RunTable, "run")),
            admin=self._table(AdminTable, "admin"),
            defaults=self._defaults(self._table(DefaultTable, "defaults")),
            router=router,
            error_files=self._error_files(self._table(ErrorFileTable, "defaults.error_files")),
        )
        self._check_router(router)
        self._environment.check_unused()
        problems = [*self._problems, *self._environment.problems]
        problems.sort(key=lambda problem: problem.origin.line or 1 << 30)
        return replace(settings, notes=tuple(self._environment.notes)), problems

    def _problem(self, path: str, message: str) -> None:
        self._problems.append(self._settings.problem(path, message))

    def _unknown(self, path: str, name: str, siblings: tuple[str, ...]) -> None:
        close = difflib.get_close_matches(name, siblings, n=1, cutoff=0.6)
        homes = [table for table, kind in TABLES.items() if any(key.name == name for key in keys_of(kind))]
        hint = f'did you mean "{close[0]}"?' if close else f"it belongs in [{homes[0]}]" if homes else f"known are {', '.join(siblings)}"
        self._problem(path, f"unknown key; {hint}")

    def _mapping(self, path: str) -> Mapping[str, Any]:
        """The table at a path; an empty one if it is not written, or is no table."""
        value: Any = self._tree
        for name in path.split("."):
            value = value.get(name, {}) if isinstance(value, dict) else {}
        if isinstance(value, dict):
            return value
        self._problem(path, f"this is a table: write [{path}]")
        return {}

    def _table(self, kind: type[T], path: str) -> T:
        return self._fields(kind, path, self._mapping(path))

    def _fields(self, kind: type[T], path: str, written: Mapping[str, Any]) -> T:
        """One table read by its declaration. Keys that are wrong keep their default, and a problem tells it."""
        keys = keys_of(kind)
        inner = tuple(name.removeprefix(f"{path}.") for name in TABLES if name.startswith(f"{path}."))
        for name in written:
            if name not in inner and all(key.name != name for key in keys):
                self._unknown(f"{path}.{name}", name, tuple(key.name for key in keys) + inner)
        return kind(**{key.field: self._value(key, path, written) for key in keys})

    def _value(self, key: Key, path: str, written: Mapping[str, Any]) -> Any:
        if key.name in written:
            try:
                return key.kind.read(written[key.name])
            except ValueError as why:
                self._problem(f"{path}.{key.name}", str(why))
                return key.default
        if path.startswith("listener") and written.get("mode") == "tcp":
            return key.default                   # the environment speaks of the public HTTP and HTTPS listeners
        return self._environment.default(key)

    # listeners

    def _listeners(self, tls: TlsTable) -> tuple[Listener, ...]:
        written = self._tree.get("listener", [])
        if not isinstance(written, list) or not all(isinstance(item, dict) for item in written):
            self._problem("listener", "this is a list of tables: write [[listener]]")
            return ()
        if not written:
            written = self._environment.listeners()
        if not written:
            self._problem("listener", f"nothing to listen on: write a [[listener]] with an address, or set {HTTP_PORT} or {HTTPS_PORT}")
        if len(written) > LISTENERS_MOST:
            self._problem("listener", f"{len(written)} are too many: at most {LISTENERS_MOST}")
        tables = [self._fields(ListenerTable, f"listener[{number}]", table) for number, table in enumerate(written)]
        for number, table in enumerate(tables):
            self._check_listener(f"listener[{number}]", table)
        names = self._unique("name", tables)
        self._unique("address", tables)
        return tuple(replace(_listener(number, table, names), **self._clients(table, tls)) for number, table in enumerate(tables))

    def _unique(self, field: str, tables: Sequence[ListenerTable]) -> dict[str, int]:
        """Which listener has which name or address; a problem for each that comes twice. Port 0 is another one each time."""
        first: dict[str, int] = {}
        for number, table in enumerate(tables):
            value = getattr(table, field)
            if value and not (field == "address" and value.endswith(":0")) and first.setdefault(value, number) != number:
                self._problem(f"listener[{number}].{field}", f'"{value}" is that of listener[{first[value]}] already')
        return first

    def _check_listener(self, path: str, table: ListenerTable) -> None:
        if not table.address and all(problem.key != f"{path}.address" for problem in self._problems):
            self._problem(path, "address is missing")
        if table.mode == "tcp" and not table.route:
            self._problem(path, "a listener of mode tcp needs a route: the name of the one that takes its connections")
        if table.mode != "tcp" and table.route:
            self._problem(f"{path}.route", f"it is for mode tcp; with mode {table.mode} each request's host and path choose")
        if table.mode == "tcp" and table.monitor != "off":
            self._problem(f"{path}.monitor", "it is for modes http and https: with mode tcp no requests are read")
        if table.tls and table.mode == "http":
            self._problem(f"{path}.tls", 'write mode = "https" instead')
        for name in CLIENT_KEYS:
            if getattr(table, name) and not _terminates(table):
                self._problem(f"{path}.{name}", 'it has no meaning without TLS: mode = "https", or mode = "tcp" and tls = true')
            elif name in ("client_ca", "client_crl") and (why := self._unreadable(getattr(table, name))):
                self._problem(f"{path}.{name}", why)
        if table.accept_proxy == "trusted-only" and not table.trusted:
            self._problem(f"{path}.accept_proxy", 'trusted-only needs "trusted": the networks to believe')
        if table.accept_proxy == "off" and table.trusted:
            self._problem(f"{path}.trusted", 'it has no meaning without accept_proxy = "required" or "trusted-only"')

    def _clients(self, table: ListenerTable, tls: TlsTable) -> dict[str, Any]:
        """What a listener asks of its clients' certificates: by its own keys, or those of [tls]."""
        if not _terminates(table):
            return {}
        chosen: dict[str, Any] = {name: getattr(table, name) or getattr(tls, name) for name in CLIENT_KEYS}
        return chosen | {name: chosen[name] and self._absolute(chosen[name]) for name in ("client_ca", "client_crl")}

    # TLS

    def _tls(self, tls: TlsTable) -> TlsTable:
        written = self._mapping("tls")
        if tls.max_version and VERSIONS[tls.min_version] > VERSIONS[tls.max_version]:
            self._tls_problem("max_version" if "max_version" in written else "min_version", f"{tls.max_version} is older than the oldest")
        if tls.key_passphrase_file and tls.key_passphrase_env:
            self._problem("tls.key_passphrase_env", "there is a key_passphrase_file already: choose one")
        elif tls.key_passphrase_env and not self._environment.get(tls.key_passphrase_env):
            self._problem("tls.key_passphrase_env", f"the variable {tls.key_passphrase_env} is empty or not set")
        for name in ("key_passphrase_file", "client_ca", "client_crl", "destination_ca"):
            if why := self._unreadable(getattr(tls, name)):
                self._tls_problem(name, why)
        listed = self._environment.get("ROUTER_CIPHERS")
        if "ciphers" not in written and listed and tls.ciphers != listed:
            self._environment.note("ROUTER_CIPHERS: names that OpenSSL does not have any more are passed over")
        tls = self._default_certificate(tls, written)
        paths = ("default_certificate", "default_certificate_dir", "key_passphrase_file", "client_ca", "client_crl", "destination_ca")
        absolute: dict[str, Any] = {name: getattr(tls, name) and self._absolute(getattr(tls, name)) for name in paths}
        return replace(tls, certificates=tuple(map(self._absolute, tls.certificates)), **absolute)

    def _default_certificate(self, tls: TlsTable, written: Mapping[str, Any]) -> TlsTable:
        """One source of the default certificate is left: of the file if it names one, else of the environment (openshift-routes.md 7.2)."""
        if written.get("default_certificate") and written.get("default_certificate_dir"):
            self._problem("tls.default_certificate_dir", "there is a default_certificate already: choose one")
        if "default_certificate" in written or "default_certificate_dir" in written:
            path, directory = (getattr(tls, name) if name in written else "" for name in ("default_certificate", "default_certificate_dir"))
            return replace(tls, default_certificate=path, default_certificate_dir=directory)
        if pem := self._environment.get("DEFAULT_CERTIFICATE"):
            return replace(tls, default_certificate="", default_certificate_dir="", default_pem=pem)
        return replace(tls, default_certificate_dir="") if tls.default_certificate else tls

    def _tls_problem(self, name: str, message: str) -> None:
        """At the key if the file has it, else at the variable that decided."""
        words = next(key.env for key in keys_of(TlsTable) if key.name == name)
        variable = next((word.name for word in words if self._environment.get(word.name)), "")
        if name not in self._mapping("tls") and variable:
            self._problems.append(Problem(ENVIRONMENT, variable, message))
        else:
            self._problem(f"tls.{name}", message)

    # the rest

    def _sources(self) -> Mapping[str, Any]:
        sources = self._mapping("sources")
        for name, table in sources.items():
            if name in RESERVED_SOURCES:
                self._problem(f"sources.{name}", "no source may have this name")
            elif not isinstance(table, dict):
                self._problem(f"sources.{name}", f"this is a table: write [sources.{name}]")
        if not _plain(sources):
            self._problem("sources", "dates and times have no place here: write texts")
            return {}
        return {name: table for name, table in sources.items() if isinstance(table, dict) and name not in RESERVED_SOURCES}

    def _decided(self, worker: WorkerTable) -> WorkerTable:
        """Numbers of which 0 means "decide yourself" are decided."""
        if worker.rewrite_bytes > worker.buffer_bytes - 1024:
            self._problem("worker.rewrite_bytes", f"{worker.rewrite_bytes} leaves no room for a head in buffer_bytes")
            return WorkerTable()
        room = worker.buffer_bytes - worker.rewrite_bytes
        if worker.max_header_bytes > room:
            self._problem("worker.max_header_bytes", f"a head must fit in buffer_bytes less rewrite_bytes: {room}")
        head = worker.max_header_bytes or room
        return replace(
            worker,
            count=worker.count or min(len(os.sched_getaffinity(0)), 64),
            max_header_bytes=head,
            max_target_bytes=min(worker.max_target_bytes or head, head),
        )

    def _log(self, log: LogTable) -> LogTable:
        written = self._mapping("log")
        from_environment = "target" not in written and self._environment.get("ROUTER_SYSLOG_ADDRESS")
        if from_environment and "level" not in written and log.level != self._environment.get("ROUTER_LOG_LEVEL"):
            log = replace(log, level="warning")  # none was given, or none that there is
        return log

    def _defaults(self, defaults: DefaultTable) -> DefaultTable:
        if defaults.unique_id_header and not defaults.unique_id_format:
            self._environment.note("defaults.unique_id_header: without unique_id_format there is no id that it could tell")
        return defaults

    def _run(self, run: RunTable) -> RunTable:
        if run.group and not run.user:
            self._problem("run.group", "it needs a user")
        pid_file = run.pid_file and self._absolute(run.pid_file)
        return replace(run, runtime_dir=self._absolute(run.runtime_dir), state_dir=self._absolute(run.state_dir), pid_file=pid_file)

    def _check_router(self, router: RouterTable) -> None:
        if (router.override_hostname or router.override_domains) and not router.subdomain:
            name = "override_hostname" if router.override_hostname else "override_domains"
            self._problem(f"router.{name}", "it needs a template in subdomain")
        if self._environment.get("ROUTER_SERVICE_NAME") and not router.namespace:
            self._problems.append(Problem(ENVIRONMENT, "ROUTER_SERVICE_NAME", "it needs ROUTER_SERVICE_NAMESPACE"))

    def _absolute(self, path: str) -> str:
        return str(Path(self._settings.directory, path))

    def _unreadable(self, path: str) -> str:
        """Why a file cannot be read; empty if it can, or if there is none to read."""
        try:
            if path:
                with open(self._absolute(path), "rb") as file:
                    file.read(1)
        except OSError as why:
            return f"{path}: cannot be read: {why.strerror}"
        return ""

    def _error_files(self, files: ErrorFileTable) -> Mapping[int, bytes]:
        found = {}
        for key in keys_of(ErrorFileTable):
            path = getattr(files, key.field)
            if path:
                try:
                    found[int(key.name)] = _error_file(self._absolute(path))
                except ValueError as why:
                    self._problem(f"defaults.error_files.{key.name}", f"{path}: {why}")
        return found


def _terminates(table: ListenerTable) -> bool:
    """Whether TLS of clients ends at this listener."""
    return table.mode == "https" or (table.mode == "tcp" and table.tls)


def _listener(number: int, table: ListenerTable, names: dict[str, int]) -> Listener:
    name = table.name or _free_name(table, names)
    names[name] = number
    return Listener(
        number=number,
        name=name,
        address=table.address,
        mode=Mode(table.mode),
        accept_proxy=AcceptProxy(table.accept_proxy),
        trusted=table.trusted,
        route=table.route,
        backlog=table.backlog,
        defer_accept_s=-(-table.defer_accept_ms // 1000),
        keepalive=table.keepalive,
        nodelay=table.nodelay,
        v6only=table.v6only,
        freebind=table.freebind,
        permissions=table.permissions,
        monitor=table.monitor,
        tls=_terminates(table),
    )


def _free_name(table: ListenerTable, names: Mapping[str, int]) -> str:
    """For a listener without a name: "http-8080"; unique, so that logs and counters tell it apart."""
    end = re.sub(r"[^A-Za-z0-9_.\-]", "-", re.split(r"[:/]", table.address)[-1])[:40]
    name, number = f"{table.mode}-{end}", 1
    while name in names:
        number += 1
        name = f"{table.mode}-{end}-{number}"
    return name


def _plain(value: object) -> bool:
    """Whether a value can travel over the wire."""
    if isinstance(value, dict):
        return all(_plain(item) for item in value.values())
    if isinstance(value, list):
        return all(_plain(item) for item in value)
    return isinstance(value, str | float | bool) or (isinstance(value, int) and -(1 << 63) <= value < 1 << 64)


def _error_file(path: str) -> bytes:
    """A whole raw response; raises ValueError. Only its start and its blank line are looked at."""
    try:
        raw = Path(path).read_bytes()
    except OSError as why:
        raise ValueError(f"cannot be read: {why.strerror}") from None
    if len(raw) > ERROR_FILE_MOST_BYTES:
        raise ValueError(f"{len(raw)} bytes are too many: at most {ERROR_FILE_MOST_BYTES}")
    if not re.match(rb"HTTP/1\.[01] [1-5][0-9][0-9][ \r\n]", raw) or not re.search(rb"\r?\n\r?\n", raw):
        raise ValueError("this is no whole response: a status line, headers, a blank line and the page are expected")
    return raw
