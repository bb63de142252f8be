"""Keyrings: what is shown for a name, and what stays when a copy changes."""

import random

import pytest

from edged._fast.run.keyring import Keyring, Served

NAMES = [f"h{number}.example".encode() for number in range(2000)]


def served(owner):
    return Served(1, 2, 0, b"", owner)


def shown(keyring, name):
    found = keyring.find(name)
    return None if found is None else found.owner


@pytest.fixture
def keyring():
    made = Keyring()
    for number, name in enumerate(NAMES):
        made.put(name, served(number), False)
    return made


def test_names_in_any_case(keyring):
    assert len(keyring) == len(NAMES)
    assert all(shown(keyring, name.upper()) == number for number, name in enumerate(NAMES))


@pytest.mark.parametrize(
    "name", [b"", b"h2000.example", b"h1.example.", b"x.h1.example", b"example", b"h" * 255, b"h" * 256, b"\0", b"\xff.example"],
)
def test_unknown_names(keyring, name):
    assert shown(keyring, name) is None
    keyring.set_default(served("default"))
    assert shown(keyring, name) == "default"
    keyring.set_default(None)
    assert shown(keyring, name) is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"a.wild.example", "wild"), (b"A.WILD.Example", "wild"), (b"exact.wild.example", "exact"), (b"a.b.wild.example", None),
        (b".wild.example", None), (b"wild.example", None), (b"*.wild.example", "wild"),
    ],
)
def test_one_label_below_a_wildcard(keyring, name, expected):
    keyring.put(b"*.wild.example", served("wild"), False)
    keyring.put(b"exact.wild.example", served("exact"), False)
    assert shown(keyring, name) == expected


def test_longest_name():
    keyring = Keyring()
    name = b"a." + b"b" * 253
    keyring.put(b"*." + b"b" * 253, served("wild"), False)
    assert shown(keyring, name) == "wild"
    keyring.put(name, served("exact"), False)
    assert shown(keyring, name) == "exact"


@pytest.mark.parametrize("name", [b"", b"a" * 256, b"Upper.example"])
def test_names_that_nobody_can_ask_for(name):
    with pytest.raises(ValueError, match="no name in lower case"):
        Keyring().put(name, served(0), False)


def test_a_copy_changes_alone(keyring):
    keyring.set_default(served("default"))
    order = list(range(len(NAMES)))
    random.Random(1).shuffle(order)
    gone, kept = order[:1000], order[1000:]
    copy = Keyring(keyring)
    for number in gone:
        copy.drop(NAMES[number])
    for number in kept[:10]:
        copy.put(NAMES[number], served("new"), True)
    copy.drop(b"never.there")
    assert len(copy) == len(kept)
    assert {shown(copy, NAMES[number]) for number in gone} == {"default"}
    assert {shown(copy, NAMES[number]) for number in kept[:10]} == {"new"}
    assert [shown(copy, NAMES[number]) for number in kept[10:]] == kept[10:]
    assert [shown(keyring, name) for name in NAMES] == list(range(len(NAMES)))


def test_a_copy_outlives_what_it_was_copied_from(keyring):
    copy = Keyring(keyring)
    del keyring
    assert [shown(copy, name) for name in NAMES] == list(range(len(NAMES)))


def test_as_a_dictionary_would():
    chance = random.Random(7)
    keyring, expected = Keyring(), {}
    for step in range(5000):
        name = f"n{chance.randrange(300)}".encode()
        if chance.random() < 0.5:
            keyring.put(name, served(step), False)
            expected[name] = step
        else:
            keyring.drop(name)
            expected.pop(name, None)
        if step % 50 == 0:
            keyring = Keyring(keyring)
    assert {name: shown(keyring, name) for name in (f"n{number}".encode() for number in range(300))} == {
        f"n{number}".encode(): expected.get(f"n{number}".encode()) for number in range(300)
    }
