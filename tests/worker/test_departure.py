from edged.worker.departure import Departure


class Tallies:
    def __init__(self):
        self.requests = self.exchanges = 0
        self.passed = (4, 7)                     # before the drain
        self.cut_off = 0

    def read_tally(self, stripe):
        assert stripe == 3
        return {"requests": self.requests, "exchanges": self.exchanges}


def told(departure):
    message = departure.news()
    assert message == departure.news()           # until it was sent
    if message:
        departure.sent(message)
    return message and {key: message[key] for key in ("open", "finished", "handed_over", "cut")}


def test_it_counts_from_the_beginning_of_the_drain():
    tallies = Tallies()
    tallies.requests, tallies.exchanges = 100, 3
    departure = Departure(tallies, 3, lambda: tallies.passed, lambda: tallies.cut_off)
    assert told(departure) == {"open": 3, "finished": 0, "handed_over": 0, "cut": 0}
    assert told(departure) is None
    tallies.requests, tallies.exchanges = 101, 2             # the last request of a kept-alive client, and one that was there
    assert told(departure) == {"open": 2, "finished": 2, "handed_over": 0, "cut": 0}
    tallies.exchanges, tallies.passed = 1, (5, 7)
    assert told(departure) == {"open": 1, "finished": 2, "handed_over": 1, "cut": 0}
    tallies.exchanges, tallies.passed = 3, (5, 9)            # of a generation that is older still
    assert told(departure) == {"open": 3, "finished": 2, "handed_over": 1, "cut": 0}
    tallies.exchanges, tallies.cut_off = 2, 1                # its time was over
    assert told(departure) == {"open": 2, "finished": 2, "handed_over": 1, "cut": 1}
    tallies.exchanges, tallies.passed = 0, (7, 9)
    assert told(departure) == {"open": 0, "finished": 2, "handed_over": 3, "cut": 1}
    assert departure.message()["type"] == "drains"


def test_what_is_cut_is_not_told_before_it_has_ended():
    tallies = Tallies()
    tallies.requests, tallies.exchanges = 5, 2
    departure = Departure(tallies, 3, lambda: tallies.passed, lambda: tallies.cut_off)
    tallies.cut_off = 1                          # in the midst of the engine's turn
    assert departure.message() == {"type": "drains", "open": 2, "finished": 0, "handed_over": 0, "cut": 0}
    tallies.exchanges = 1
    assert departure.message() == {"type": "drains", "open": 1, "finished": 0, "handed_over": 0, "cut": 1}
