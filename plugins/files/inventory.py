"""Which files there are, and what has to be watched to know when that changes."""

import os
import re
from dataclasses import dataclass, field

from edged.hooks.watch import ways

__all__ = ["Inventory", "take_inventory"]

_NAME = re.compile(r"[^.#~].*\.ya?ml", re.DOTALL)        # neither hidden nor an editor's temporary file


@dataclass(slots=True)
class Inventory:
    """The files, in the order of the settings, those of a folder by name."""

    files: dict[str, None] = field(default_factory=dict)         # an ordered set
    missing: list[str] = field(default_factory=list)             # paths of the settings that lead to nothing
    homes: dict[str, list[str]] = field(default_factory=dict)    # a folder as watched: the folders, as the settings name them
    entries: dict[str, list[str]] = field(default_factory=dict)  # an entry as watched: the file that it is
    turns: set[str] = field(default_factory=set)                 # entries whose change may change everything: links, missing ones

    @property
    def folders(self) -> set[str]:
        """All that has to be watched."""
        return {*self.homes, *map(os.path.dirname, self.entries), *map(os.path.dirname, self.turns)}

    def meant(self, entry: str) -> list[str]:
        """The files, present or not, that a watched entry stands for."""
        folder, name = os.path.split(entry)
        found = list(self.entries.get(entry, ()))
        if _NAME.fullmatch(name):
            found += (os.path.join(home, name) for home in self.homes.get(folder, ()))
        return found


def take_inventory(paths: list[str]) -> Inventory:
    """Look at the disk. `paths` are absolute."""
    inventory = Inventory()
    for path in paths:
        if os.path.isdir(path):
            inventory.turns.update(os.path.join(folder, name) for folder, name in ways(path))
            _take_folder(inventory, path)
        else:
            _take_file(inventory, path)
    return inventory


def _take_folder(inventory: Inventory, path: str) -> None:
    try:
        with os.scandir(path) as entries:
            found = [(entry.name, entry.is_symlink(),
                entry.is_dir(follow_symlinks=False)) for entry in entries if _NAME.fullmatch(entry.name)]
    except OSError:                              # it went meanwhile, or may not be read
        inventory.missing.append(path)
        return
    inventory.homes.setdefault(os.path.realpath(path), []).append(path)
    for name, is_link, is_folder in sorted(found):
        file = os.path.join(path, name)
        if is_link:
            _take_file(inventory, file)
        elif not is_folder:
            inventory.files[file] = None


def _take_file(inventory: Inventory, path: str) -> None:
    """A file by its own name, or what a link leads to."""
    steps = [os.path.join(folder, name) for folder, name in ways(path)]
    if os.path.exists(path):
        if not os.path.isdir(path):
            inventory.files[path] = None
            inventory.entries.setdefault(steps[-1], []).append(path)
            steps.pop()
    elif path not in inventory.missing:
        inventory.missing.append(path)
    inventory.turns.update(steps)
