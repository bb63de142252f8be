"""What is put off until all has been read: exchanges with bytes in hand that can leave."""

import pytest
from tests.doors.run_doors import Pair, Sheaf


@pytest.mark.parametrize("in_hand", [{"front": 1}, {"back": 1}, {"front": 1, "back": 1}, {"relayed": 1}])
def test_bytes_in_hand_wait_for_the_end_of_the_turn(in_hand):
    sheaf, pair = Sheaf(), Pair(**in_hand)
    assert sheaf.gather(pair)
    assert sheaf.holds(pair) == 1


def test_an_answer_of_our_own_needs_no_endpoint():
    sheaf, pair = Sheaf(), Pair(front=1, dialled=False)
    assert sheaf.gather(pair)
    assert sheaf.holds(pair) == 1


@pytest.mark.parametrize("pair", [
    Pair(), Pair(dialled=False), Pair(front=1, back=1, writable=False), Pair(back=1, connecting=True), Pair(relayed=1, writable=False),
])
def test_who_has_nothing_that_can_leave_goes_on(pair):
    sheaf = Sheaf()
    assert not sheaf.gather(pair)
    assert sheaf.holds(pair) == 0


def test_nothing_is_put_off_while_what_was_gathered_is_sent():
    sheaf, pair = Sheaf(gathers=False), Pair(front=1, back=1)
    assert not sheaf.gather(pair)
    assert sheaf.holds(pair) == 0


def test_who_finds_no_place_goes_on_at_once():
    sheaf = Sheaf()
    pairs = [Pair(front=1) for _ in range(Sheaf.MOST)]
    assert all(sheaf.gather(pair) for pair in pairs)
    late = Pair(front=1)
    assert not sheaf.gather(late)
    assert [sheaf.holds(pair) for pair in [*pairs, late]] == [1] * len(pairs) + [0]
