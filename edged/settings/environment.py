"""The environment's words. A variable stands in for the built-in default; what the file says is stronger.

So a deployment that only sets ROUTER_* variables is served as by the router it came from, and a line in the file is always
what its reader sees. A wrong value counts as absent, with a note, except where openshift-routes.md 11 calls it fatal.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edged.model.origin import Origin, Problem
from edged.settings import units
from edged.settings.keys import Env, Key

ENVIRONMENT = Origin("environment")
HTTP_PORT, HTTPS_PORT, IP_MODE = "ROUTER_SERVICE_HTTP_PORT", "ROUTER_SERVICE_HTTPS_PORT", "ROUTER_IP_V4_V6_MODE"
_UNUSED_PORTS = ("ROUTER_SERVICE_SNI_PORT", "ROUTER_SERVICE_NO_SNI_PORT")     # hops that edged does not need
_WILDCARDS = {"v4": ("0.0.0.0", False), "v6": ("[::]", True), "v4v6": ("[::]", False)}


@dataclass
class Environment:
    """The variables, and what was found wrong with them."""

    variables: Mapping[str, str]
    notes: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def get(self, name: str) -> str:
        """Empty is the same as unset."""
        return self.variables.get(name, "")

    def default(self, key: Key) -> Any:
        """What a key is worth if the file does not name it."""
        for word in key.env:
            value = self._read(word, key)
            if value is not None:
                return value
        return key.default

    def names(self, key: Key) -> bool:
        """Whether some variable decides this key."""
        return any(self.get(word.name) for word in key.env)

    def _read(self, word: Env, key: Key) -> Any:
        text = self.get(word.name)
        if not text:
            return None
        try:
            value = key.kind.read(word.read(text))
            if word.read is units.clipped_time_ms and units.time_units_ms(text) > value:
                self.note(f"{word.name}: {text} is clipped to {value}ms")
            return value
        except ValueError as why:
            if word.fatal:
                problem = Problem(ENVIRONMENT, word.name, str(why))
                if problem not in self.problems:         # listeners share variables
                    self.problems.append(problem)
            else:
                self.note(f"{word.name}: {why}; it is ignored")
            return None

    def note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)

    def listeners(self) -> list[dict[str, Any]]:
        """The public listeners, as tables of the file, if variables name their ports."""
        host, v6only = _WILDCARDS[self._ip_mode()]
        tables = []
        for variable, name, mode in ((HTTP_PORT, "public", "http"), (HTTPS_PORT, "public_ssl", "https")):
            if self.get(variable):
                port = self._port(variable, 80 if mode == "http" else 443)
                tables.append({"name": name, "mode": mode, "address": f"{host}:{port}", "v6only": v6only})
        return tables

    def check_unused(self) -> None:
        for variable in _UNUSED_PORTS:
            if self.get(variable):
                self._port(variable, 0)

    def _ip_mode(self) -> str:
        mode = self.get(IP_MODE) or "v4"
        if mode in _WILDCARDS:
            return mode
        self.note(f'{IP_MODE}: "{mode}" is none of v4, v6, v4v6; it is ignored')
        return "v4"

    def _port(self, variable: str, default: int) -> int:
        try:
            port = units.whole_number(self.get(variable))
            if not 0 < port < 65536:
                raise ValueError(f"{port} is no port")
        except ValueError as why:
            self.note(f"{variable}: {why}; it is ignored")
            return default
        return port
