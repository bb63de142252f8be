import tomllib

import pytest

from edged.settings.lines import key_lines, line_of

TEXT = '''\
# a comment with [brackets] and "quotes
title = "x"

[[listener]]
address = "127.0.0.1:80"   # name = "no"
name = """
[timeouts]
client = "5s"
"""
[[listener]]
"address" = 'unix:/x'
trusted = [ "10.0.0.0/8",  # first
  "::1",
]
[sources.files]
paths = [
  "a", { deep = [1,
    2] },
]
sources.inner = 1
[sources."dotted.name"]
x.y = { a = 1, b.c = 2 }
[[sources.list.items]]
n = 1.5
[[sources.list.items]]
n = 1979-05-27 07:32:00
when = 1979-05-27T07:32:00Z
[sources.list.items.sub]
z = -inf
s = "a \\" b # = ["
t = \'\'\'
'quoted' = 3
\'\'\'
end = true
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("title", 2), ("listener", 4), ("listener[0]", 4), ("listener[0].address", 5), ("listener[0].name", 6), ("listener[1]", 10),
        ("listener[1].address", 11), ("listener[1].trusted", 12), ("listener[1].trusted[0]", 12), ("listener[1].trusted[1]", 13),
        ("sources", 15), ("sources.files", 15), ("sources.files.paths", 16), ("sources.files.paths[0]", 17), ("sources.files.paths[1]", 17),
        ("sources.files.paths[1].deep[1]", 18), ("sources.files.sources.inner", 20), ("sources.dotted.name", 21),
        ("sources.dotted.name.x.y.b.c", 22), ("sources.list.items[0].n", 24), ("sources.list.items[1].n", 26),
        ("sources.list.items[1].when", 27), ("sources.list.items[1].sub", 28), ("sources.list.items[1].sub.z", 29),
        ("sources.list.items[1].sub.s", 30), ("sources.list.items[1].sub.t", 31), ("sources.list.items[1].sub.end", 34),
    ],
)
def test_every_key_has_its_line(path, line):
    tomllib.loads(TEXT)
    assert line_of(key_lines(TEXT), path) == line


@pytest.mark.parametrize(("path", "line"), [("listener[1].missing", 10), ("sources.files.paths[7]", 16), ("nowhere", 0), ("", 0)])
def test_what_is_not_written_has_the_line_of_what_is_around_it(path, line):
    assert line_of(key_lines(TEXT), path) == line


def test_keys_inside_texts_are_no_keys():
    lines = key_lines(TEXT)
    assert "timeouts" not in lines
    assert "quoted" not in str(sorted(lines))


@pytest.mark.parametrize("text", ["", "\n\n", "a=1", "[a]\n[b]", "a = []\nb = {}", "a = ''\nb = \"\"", '""=1', "a = '''x''''\nb=2"])
def test_small_files(text):
    for path in tomllib.loads(text):
        assert line_of(key_lines(text), path) or path == ""
