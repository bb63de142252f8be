"""What one file holds: routes of the short form, objects, and what is wrong with the others."""

from collections.abc import Iterator
from dataclasses import dataclass

from edged.hooks import Object, Origin, Problem, Route

from .beside import Beside, Signature
from .objects import read_objects
from .read import Unreadable
from .shortform import Defaults, Kept, read_routes
from .tree import Document, Map, YamlError, read_documents

__all__ = ["Content", "read_text"]


@dataclass(frozen=True, slots=True)
class Content:
    """What a file holds."""

    routes: tuple[Route, ...] = ()
    objects: tuple[Object, ...] = ()
    problems: tuple[Problem, ...] = ()
    kept: tuple[tuple[int, str], ...] = ()       # place among `routes`, and key, of each route that should stay as it was before
    beside: tuple[tuple[str, Signature], ...] = ()       # other files that were read, and how each was


def read_text(text: bytes, where: str, defaults: Defaults) -> Content:
    """The content of a text; `where` is the file's name in problems. Raises Unreadable if it is no YAML."""
    if not text:
        raise Unreadable(0, "the file is empty: its routes stay as they were; delete it to withdraw them")
    try:
        documents = read_documents(text)
    except YamlError as why:
        raise Unreadable(why.line, why.message) from None
    routes: list[Route] = []
    objects: list[Object] = []
    problems: list[Problem] = []
    kept: list[tuple[int, str]] = []
    beside = Beside(where)
    for document in documents:
        for found in _of_document(document, where, defaults, beside):
            if isinstance(found, Route):
                routes.append(found)
            elif isinstance(found, Object):
                objects.append(found)
            elif isinstance(found, Kept):
                kept.append((len(routes), found.key))
            else:
                problems.append(found)
    return Content(tuple(routes), tuple(objects), tuple(problems), tuple(kept), tuple(beside.signatures.items()))


def _of_document(document: Document, where: str, defaults: Defaults, beside: Beside) -> Iterator[Route | Kept | Object | Problem]:
    body = document.value
    if not isinstance(body, Map):
        yield Problem(Origin(where, document.line), "", 'a document is a mapping, with "routes:" or with "kind:"')
    elif "kind" in body:
        yield from read_objects(document, where)
    elif "routes" in body:
        yield from read_routes(document, where, defaults, beside)
    else:
        keys = ", ".join(list(body)[:5])
        yield Problem(Origin(where, document.line), "", f'a document needs "routes:" or "kind:"; this one has {keys or "nothing"}')
