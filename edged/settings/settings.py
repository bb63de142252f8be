"""The settings as the wings see them: complete, checked, frozen; and how they travel over the wire."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, TypeVar, cast

from edged.errors import StartError
from edged.model.listener import AcceptProxy, Listener, Mode
from edged.model.origin import Origin, Problem
from edged.settings.lines import line_of
from edged.settings.tables import AdminTable, DefaultTable, LogTable, RouterTable, RunTable, TimeoutTable, TlsTable, WorkerTable

__all__ = ["InvalidSettings", "Settings"]

T = TypeVar("T")


class InvalidSettings(StartError):
    """The settings cannot be used; every reason is in `problems`."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Settings:
    """All that an operator can choose. Numbers that mean "decide yourself" in the file have been decided."""

    path: str                                    # of the file; problems name it so
    directory: str                               # absolute: what relative paths start from
    listeners: tuple[Listener, ...] = ()
    sources: Mapping[str, Any] = field(default_factory=dict)         # as written: plugins read their own tables
    worker: WorkerTable = field(default_factory=WorkerTable)
    timeouts: TimeoutTable = field(default_factory=TimeoutTable)
    tls: TlsTable = field(default_factory=TlsTable)
    log: LogTable = field(default_factory=LogTable)
    run: RunTable = field(default_factory=RunTable)
    admin: AdminTable = field(default_factory=AdminTable)
    defaults: DefaultTable = field(default_factory=DefaultTable)
    router: RouterTable = field(default_factory=RouterTable)
    error_files: Mapping[int, bytes] = field(default_factory=dict)   # by status: whole raw responses
    notes: tuple[str, ...] = ()                  # nothing wrong, but worth a line at start
    lines: Mapping[str, int] = field(default_factory=dict)           # path of a key -> line in the file

    def origin(self, path: str) -> Origin:
        """Where a key is written, such as "sources.files.paths"."""
        return Origin(self.path, line_of(self.lines, path))

    def problem(self, path: str, message: str) -> Problem:
        return Problem(self.origin(path), path, message)

    def plugin_settings(self) -> dict[str, Any]:
        """What hooks are given: each source's table under its name, "__dir__", and "router" and "defaults" with plain values."""
        router = asdict(self.router) | {"forwarded": self.defaults.forwarded}
        return {**self.sources, "__dir__": self.directory, "router": router, "defaults": asdict(self.defaults)}

    def to_wire(self) -> dict[str, Any]:
        """Plain maps, lists, texts and numbers; `from_wire` makes equal settings of them."""
        return asdict(self) | {"error_files": list(self.error_files.items())}

    @classmethod
    def from_wire(cls, body: Mapping[str, Any]) -> "Settings":
        return cls(
            path=body["path"],
            directory=body["directory"],
            listeners=tuple(_listener(item) for item in body["listeners"]),
            sources=body["sources"],
            worker=_table(WorkerTable, body["worker"]),
            timeouts=_table(TimeoutTable, body["timeouts"]),
            tls=_table(TlsTable, body["tls"]),
            log=_table(LogTable, body["log"]),
            run=_table(RunTable, body["run"]),
            admin=_table(AdminTable, body["admin"]),
            defaults=_table(DefaultTable, body["defaults"]),
            router=_table(RouterTable, body["router"]),
            error_files=dict(body["error_files"]),
            notes=tuple(body["notes"]),
            lines=body["lines"],
        )


def _table(kind: type[T], body: Mapping[str, Any]) -> T:
    """Lists become tuples again: settings hold no lists of their own. What another version has written, and this one does not know,
    is left out."""
    known = {one.name for one in fields(cast("Any", kind))}
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in body.items() if name in known})


def _listener(body: Mapping[str, Any]) -> Listener:
    return replace(_table(Listener, body), mode=Mode(body["mode"]), accept_proxy=AcceptProxy(body["accept_proxy"]))
