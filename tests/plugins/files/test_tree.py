"""YAML that knows its lines, and what hostile text may not do."""

import contextlib
import gc
import math
from typing import Any

import pytest
from edged_plugins.files.tree import Document, YamlError, line_of, read_documents


def one(text: str | bytes) -> Document:
    (document,) = read_documents(text)
    return document


@pytest.mark.parametrize(("written", "value"), [
    ("no", "no"), ("on", "on"), ("yes", "yes"), ("true", True), ("True", True), ("FALSE", False), ("tRue", "tRue"),
    ("017", 17), ("0o17", 15), ("0x1F", 31), ("1:30", "1:30"), ("1_000", "1_000"), ("-5", -5), ("+5", 5), ("1e3", 1000.0), (".5", 0.5),
    ("1.", 1.0),
    (".inf", math.inf), ("-.INF", -math.inf), ("~", None), ("", None), ("null", None), ("Null", None), ("nul", "nul"), (".", "."),
    ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"), ("'5'", "5"), ('"true"', "true"), ("!!str 5", "5"), ("! 5", "5"), ("!!int 5", 5),
    ("!!null ''", None), ("18446744073709551615", 18446744073709551615), ("18446744073709551616", 18446744073709551616.0),
    ("-9223372036854775809", -9223372036854775809.0), ("=", "="), ("<<", "<<"), ("|\n  a\n  b\n", "a\nb\n"),
])
def test_scalars_are_those_of_yaml_1_2(written: str, value: Any) -> None:
    found = one(f"x: {written}").value["x"]
    assert type(found) is type(value)
    assert found == value


def test_a_number_that_is_none() -> None:
    assert math.isnan(one("x: .nan").value["x"])


def test_keys_are_texts_as_written() -> None:
    assert dict(one("5: a\ntrue: b\n~: c\n017: d").value) == {"5": "a", "true": "b", "~": "c", "017": "d"}


def test_documents_and_their_lines() -> None:
    found = read_documents("# nothing\n---\na: 1\n---\n---\n\nb: 2\n...\n")
    assert [(document.line, dict(document.value)) for document in found] == [(3, {"a": 1}), (7, {"b": 2})]
    assert read_documents("") == read_documents("# only words\n") == []


def test_lines_of_paths() -> None:
    document = one("a:\n  - x\n  - b:\n      c: 1\nd: {e: 1,\n  f: 2}\n")
    for path, line in [
        (("a",), 1), (("a", 0), 2), (("a", 1), 3), (("a", 1, "b"), 3), (("a", 1, "b", "c"), 4), (("d", "e"), 5), (("d", "f"), 6), ((), 1),
        (("a", 9, "x"), 1), (("d", "nope"), 5), (("a", 1, "b", "c", "deeper"), 4),
    ]:
        assert line_of(document.value, path, document.line) == line, path


def test_a_key_given_twice_is_told_with_its_place_and_the_first_counts() -> None:
    document = one("a: 1\nb:\n  - c: 1\n    c: 2\na: {a: 1, a: 2}\n")
    assert [(duplicate.path, duplicate.line) for duplicate in document.duplicates] == [(("b", 0, "c"), 4), (("a",), 5), (("a", "a"), 5)]
    assert document.value == {"a": 1, "b": [{"c": 1}]}
    assert line_of(document.value, ("b", 0, "c"), 1) == 3


@pytest.mark.parametrize(("text", "line", "told"), [
    ("a: [1,\n b", 3, "did not find expected"),
    ("a: 1\n b: 2", 2, "not allowed"),
    ("a: 'x", 1, "unexpected end of stream"),
    ("? [a]\n: b", 1, "a key is a text"),
    ("{a: b}: c", 1, "a key is a text"),
    ("a: !foo b", 1, "has no meaning"),
    ("a: !!python/object:os.system x", 1, "has no meaning"),
    ("a: !!int x", 1, "does not fit"),
    ("a: !!set {x}", 1, "has no meaning"),
    ("a: *nowhere", 1, "no complete &nowhere"),
    ("a: &a [*a]", 1, "no complete &a"),
    ("a: \x00", 1, "control characters"),
    (b"a: \xff\xfe", 1, ""),
])
def test_what_cannot_be_read_is_told_with_its_line(text: str | bytes, line: int, told: str) -> None:
    with pytest.raises(YamlError) as caught:
        read_documents(text)
    assert caught.value.line == line
    assert told in caught.value.message


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000 + "x", "a: " + "[" * 65 + "]" * 65])
def test_depth_is_bounded(text: str) -> None:
    with pytest.raises(YamlError, match="deep"):
        read_documents(text)


def test_aliases_stand_for_their_value_and_cannot_explode() -> None:
    assert one("a: &x {b: 1}\nc: *x\nd: &y 5\ne: *y").value == {"a": {"b": 1}, "c": {"b": 1}, "d": 5, "e": 5}
    layers = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 12))
    with pytest.raises(YamlError, match="more than 5000000 values"):
        read_documents(f"l0: &l0 [x, x, x, x, x, x, x, x, x, x]\n{layers}")


def test_an_alias_knows_only_what_was_before_it_in_its_document() -> None:
    with pytest.raises(YamlError, match="no complete &a"):
        read_documents("a: &a 1\n---\nb: *a\n")


def test_utf_16_is_read_as_well() -> None:
    assert one("a: ü".encode("utf-16")).value == {"a": "ü"}


def test_the_collector_is_as_it_was() -> None:
    for text in ("a: 1", "a: ["):
        with contextlib.suppress(YamlError):
            read_documents(text)
        assert gc.isenabled()
    gc.disable()
    try:
        read_documents("a: 1")
        assert not gc.isenabled()
    finally:
        gc.enable()
