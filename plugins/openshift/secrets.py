"""The secrets of all namespaces by their names, and which of them have changed."""

from collections.abc import Sequence
from typing import Any

from edged.hooks import Object

from .validate import fields_of

__all__ = ["Secrets"]

Unit = tuple[str, str]                           # namespace and name


class Secrets:
    """Of several by one name the first counts. No secret is read more than once, as there may be thousands that nobody needs."""

    def __init__(self) -> None:
        self._given: Sequence[Object] = ()
        self._names: dict[int, tuple[Object, Unit | None]] = {}      # by identity
        self._by_name: dict[Unit, Object] = {}

    def get(self, name: Unit | None) -> Object | None:
        return None if name is None else self._by_name.get(name)

    def take(self, given: Sequence[Object]) -> frozenset[Unit]:
        """Take all secrets there are; answers the names of those that came, went or changed."""
        if given is self._given:
            return frozenset()
        names = {id(told): self._names.get(id(told)) or (told, _name_of(told)) for told in given}
        by_name: dict[Unit, Object] = {}
        for told, name in names.values():
            if name is not None:
                by_name.setdefault(name, told)
        last = self._by_name
        self._given, self._names, self._by_name = given, names, by_name
        return frozenset(name for name in last.keys() | by_name.keys() if last.get(name) is not by_name.get(name))

    def after(self, given: Sequence[Object]) -> tuple["Secrets", frozenset[Unit]]:
        """As it will be after `take`, and what that will answer."""
        then = Secrets()
        then._given, then._names, then._by_name = self._given, self._names, self._by_name
        return then, then.take(given)


def _name_of(told: Object) -> Unit | None:
    meta: Any = fields_of(told.body.get("metadata"))
    namespace, name = meta.get("namespace"), meta.get("name")
    return (namespace, name) if isinstance(namespace, str) and isinstance(name, str) else None
