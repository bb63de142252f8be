from edged.supervisor.ends import Ends, Told


def test_what_a_process_left_open_when_it_ended_is_cut_as_well():
    told = {7: Told(3, 10, 2, 1), 8: Told(4, 20, 0, 5)}
    assert Ends.of(told, {7, 8}) == Ends(finished=30, handed_over=2, cut=6, left=7)
    assert Ends.of(told, {8}) == Ends(finished=30, handed_over=2, cut=9, left=4)
    assert str(Ends.of(told, set())) == "30 exchanges finished, 2 handed over, 13 cut"


def test_an_earlier_program_did_not_tell_what_was_cut_before_the_end():
    assert Ends.of({7: Told(*[3, 10, 2])}, set()) == Ends(finished=10, handed_over=2, cut=3)
