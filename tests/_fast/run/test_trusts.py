"""Contexts towards endpoints, found by the number of their trust."""

import random

from tests.doors.keyring_doors import context_of

from edged._fast.run.keyring import Keyring

MOST = 2**64 - 1


def test_nobody_is_trusted_by_an_empty_keyring():
    assert context_of(Keyring(), 1) == context_of(Keyring(Keyring()), MOST) == 0


def test_trusts_are_found_replaced_and_dropped():
    keyring = Keyring()
    for number in (5, MOST, 1):
        keyring.put_trust(number, number & 0xFF, None)
    assert [context_of(keyring, number) for number in (1, 5, MOST, 2, MOST - 1)] == [1, 5, 255, 0, 0]
    keyring.put_trust(5, 77, None)
    keyring.drop_trust(1)
    keyring.drop_trust(6)
    assert [context_of(keyring, number) for number in (1, 5, MOST)] == [0, 77, 255]


def test_a_copy_goes_its_own_way():
    before = Keyring()
    before.put_trust(3, 30, None)
    after = Keyring(before)
    after.drop_trust(3)
    after.put_trust(4, 40, None)
    assert [context_of(before, number) for number in (3, 4)] == [30, 0]
    assert [context_of(after, number) for number in (3, 4)] == [0, 40]


def test_owners_live_as_long_as_their_trust():
    class Owner:
        alive = 0

        def __init__(self):
            Owner.alive += 1

        def __del__(self):
            Owner.alive -= 1

    keyring = Keyring()
    keyring.put_trust(1, 1, Owner())
    keyring.put_trust(1, 2, Owner())
    keyring.put_trust(2, 3, Owner())
    assert Owner.alive == 2
    keyring.drop_trust(2)
    assert Owner.alive == 1
    after = Keyring(keyring)
    del keyring
    assert Owner.alive == 1
    del after
    assert Owner.alive == 0


def test_many_in_any_order():
    chance = random.Random(7)
    keyring, known = Keyring(), {}
    for _ in range(3000):
        number = chance.randrange(1, 400)
        if chance.random() < 0.4:
            known.pop(number, None)
            keyring.drop_trust(number)
        else:
            known[number] = chance.randrange(1, MOST)
            keyring.put_trust(number, known[number], None)
        if chance.random() < 0.02:
            keyring = Keyring(keyring)
    assert {number: context_of(keyring, number) for number in range(401)} == {number: known.get(number, 0) for number in range(401)}
