"""Which bundles there are in the operator's directories, whether they have changed, and what has to be watched to know."""

import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field

from edged.model.origin import Origin, Problem
from edged.watch import ways

__all__ = ["BESIDE", "Listing", "Mark", "beside", "list_bundles", "mark_of"]

BESIDE = (".key", ".issuer", ".ocsp")            # ends of the names of files that belong to a bundle

_STEM = re.compile(r"\.(?:pem|crt|cer|cert)$", re.IGNORECASE)
_OTHERS = (*BESIDE, ".sctl", "~")                # ends of names that are no bundles

Mark = tuple[tuple[int, ...], ...]               # differs whenever one of some files was written, replaced, or given other rights


@dataclass(slots=True)
class Listing:
    """What was found."""

    bundles: dict[str, Mark] = field(default_factory=dict)       # by path, in order of the settings, those of a directory by name
    absent: list[str] = field(default_factory=list)              # paths of the settings that lead to nothing that can be read
    problems: list[Problem] = field(default_factory=list)        # with those
    folders: set[str] = field(default_factory=set)               # to watch: whatever changes the above happens in one of them


def beside(path: str, suffix: str) -> tuple[str, ...]:
    """Where a file may lie that belongs to a bundle; the first that exists counts."""
    stem = _STEM.sub("", path)
    return (path + suffix,) if stem == path else (path + suffix, stem + suffix)


def list_bundles(paths: Iterable[str], single: Iterable[str] = ()) -> Listing:
    """The bundles at some paths, of files or directories; `single` are other files that are to be watched as well."""
    listing = Listing()
    for path in single:
        listing.folders.update(folder for folder, _ in ways(path))
    for path in paths:
        listing.folders.update(folder for folder, _ in ways(path))
        if os.path.isdir(path):
            _list_folder(listing, path)
        elif os.path.isfile(path):
            listing.bundles.setdefault(path, mark_of(path))
            listing.folders.update(folder for other in beside(path, ".key") for folder, _ in ways(other))
        else:
            listing.absent.append(path)
            listing.problems.append(Problem(Origin(path), "", "there is no such file or directory; it is waited for"))
    return listing


def _list_folder(listing: Listing, folder: str) -> None:
    listing.folders.add(os.path.realpath(folder))
    try:
        with os.scandir(folder) as found:
            entries = {entry.name: entry for entry in found}
    except OSError as why:
        listing.absent.append(folder)
        listing.problems.append(Problem(Origin(folder), "", f"cannot be read: {why.strerror}"))
        return
    extras = {name for name in entries if name.endswith(BESIDE)}
    for name in sorted(entries):
        path = os.path.join(folder, name)
        if entries[name].is_symlink():
            listing.folders.update(way for way, _ in ways(path))
        if name[0] not in ".#~" and not name.endswith(_OTHERS) and path not in listing.bundles and (mark := _signature(path)):
            with_it = [other for suffix in BESIDE for other in beside(path, suffix) if os.path.basename(other) in extras] if extras else ()
            listing.bundles[path] = (mark, *map(_signature, with_it))


def mark_of(path: str) -> Mark:
    """Of a bundle and what lies beside it, there or not; the same for every empty path."""
    if not path:
        return ((),)
    return (_signature(path), *(_signature(other) for suffix in BESIDE for other in beside(path, suffix)))


def _signature(path: str) -> tuple[int, ...]:
    """() if there is no such file, or it is none that can be read to its end."""
    try:
        found = os.stat(path)
    except OSError:
        return ()
    if not stat.S_ISREG(found.st_mode):
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
