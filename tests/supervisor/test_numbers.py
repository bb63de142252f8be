from edged.model.listener import Listener
from edged.settings import Settings
from edged.supervisor.numbers import NUMBERS_MOST, ListenerNumbers


def numbered(numbers, *names):
    settings = Settings("/edged.toml", "/", listeners=tuple(Listener(number, name, "127.0.0.1:0") for number, name in enumerate(names)))
    return {listener.name: listener.number for listener in numbers.number(settings).listeners}


def test_at_first_they_are_those_of_the_settings():
    assert numbered(ListenerNumbers(), "web", "safe") == {"web": 0, "safe": 1}


def test_a_name_keeps_its_number_wherever_it_stands():
    numbers = ListenerNumbers()
    numbered(numbers, "web", "safe", "mail")
    assert numbered(numbers, "new", "mail", "web") == {"new": 3, "mail": 2, "web": 0}
    assert numbered(numbers, "safe") == {"safe": 1}


def test_when_none_is_left_the_one_longest_gone_is_given_anew():
    numbers = ListenerNumbers()
    for number in range(NUMBERS_MOST):
        numbered(numbers, "web", f"n{number}")
    # "web" and n0 to n254 have had all of them; n255 took that of n0.
    assert numbered(numbers, "web", "n255") == {"web": 0, "n255": 1}
    assert numbered(numbers, "web", "n0") == {"web": 0, "n0": 2}
