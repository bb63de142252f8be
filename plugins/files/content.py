"""What one file holds: routes of the short form, objects, and what is wrong with the others."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from edged.hooks import Object, Origin, Problem, Route

from .objects import read_objects
from .shortform import Defaults, read_routes
from .tree import Document, Map, YamlError, read_documents

__all__ = ["FILE_MOST_BYTES", "Content", "Unreadable", "read_bytes", "read_text"]

FILE_MOST_BYTES = 64 * 1024 * 1024


class Unreadable(Exception):
    """Nothing of a file can be used now; what it held before should stay. The text is a problem of the file."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


@dataclass(frozen=True, slots=True)
class Content:
    """What a file holds."""

    routes: tuple[Route, ...] = ()
    objects: tuple[Object, ...] = ()
    problems: tuple[Problem, ...] = ()


def read_bytes(path: str) -> bytes:
    """What a regular file holds, without waiting for anything else that may have its name. Raises Unreadable, FileNotFoundError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise Unreadable(0, "this is no file")
            text = file.read(FILE_MOST_BYTES + 1)
    except FileNotFoundError:
        raise
    except OSError as why:
        raise Unreadable(0, f"cannot be read: {why.strerror}") from None
    if len(text) > FILE_MOST_BYTES:
        raise Unreadable(0, f"the file is larger than {FILE_MOST_BYTES >> 20} MiB")
    if not text:
        raise Unreadable(0, "the file is empty: its routes stay as they were; delete it to withdraw them")
    return text


def read_text(text: bytes, where: str, defaults: Defaults) -> Content:
    """The content of a text; `where` is the file's name in problems. Raises Unreadable if it is no YAML."""
    try:
        documents = read_documents(text)
    except YamlError as why:
        raise Unreadable(why.line, why.message) from None
    routes: list[Route] = []
    objects: list[Object] = []
    problems: list[Problem] = []
    for document in documents:
        for found in _of_document(document, where, defaults):
            if isinstance(found, Route):
                routes.append(found)
            elif isinstance(found, Object):
                objects.append(found)
            else:
                problems.append(found)
    return Content(tuple(routes), tuple(objects), tuple(problems))


def _of_document(document: Document, where: str, defaults: Defaults) -> Iterator[Route | Object | Problem]:
    body = document.value
    if not isinstance(body, Map):
        yield Problem(Origin(where, document.line), "", 'a document is a mapping, with "routes:" or with "kind:"')
    elif "kind" in body:
        yield from read_objects(document, where)
    elif "routes" in body:
        yield from read_routes(document, where, defaults)
    else:
        keys = ", ".join(list(body)[:5])
        yield Problem(Origin(where, document.line), "", f'a document needs "routes:" or "kind:"; this one has {keys or "nothing"}')
