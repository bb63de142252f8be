"""edged(8) from edged.8.md: `python docs/man.py > edged.8`. A small part of Markdown is understood; anything else is an error."""

import re
import sys
from pathlib import Path

SOURCE = Path(__file__).with_name("edged.8.md")

_TITLE = re.compile(r'# (\S+) (\d) "(.*)"')
_MARKED = re.compile(r"`([^`]*)`|\*([^*]+)\*")


def page(text: str) -> str:
    """The page as roff."""
    out: list[str] = []
    for block in re.split(r"\n{2,}", text.strip()):
        first, *rest = block.split("\n")
        if match := _TITLE.fullmatch(block):
            out.append(f'.TH {match[1].upper()} {match[2]} "" edged "{match[3]}"')
        elif first.startswith("## ") and not rest:
            out.append(f".SH {first[3:]}")
        elif rest and rest[0].startswith(": "):
            out += [".TP", _inline(first), _inline(" ".join([rest[0][2:], *rest[1:]]))]
        elif all(line.startswith("    ") for line in block.split("\n")):
            out += [".PP", ".EX", *(_line(_plain(line)) for line in block.split("\n")), ".EE"]
        elif first.startswith(("#", "-", ">", "    ", "|")):
            raise ValueError(f"edged.8.md: this is not understood: {first}")
        else:
            out += [".PP", _inline(" ".join([first, *rest]))]
    return "\n".join(out) + "\n"


def _inline(text: str) -> str:
    parts, at = [], 0
    for match in _MARKED.finditer(text):
        face, marked = ("I", match[2]) if match[1] is None else ("B", match[1])
        parts += [_plain(text[at : match.start()]), f"\\f{face}{_plain(marked)}\\fR"]
        at = match.end()
    return _line("".join([*parts, _plain(text[at:])]))


def _line(line: str) -> str:
    return f"\\&{line}" if line.startswith((".", "'")) else line


def _plain(text: str) -> str:
    return text.replace("\\", "\\e").replace("-", "\\-")


if __name__ == "__main__":
    sys.stdout.write(page(SOURCE.read_text()))
