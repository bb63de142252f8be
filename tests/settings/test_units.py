import pytest

from edged.settings import units


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1", 1), ("1500", 1500), ("1us", 1), ("999us", 1), ("1000us", 1), ("1001us", 2), ("300ms", 300), ("30s", 30_000), ("5m", 300_000),
        ("1h", 3_600_000), ("1d", 86_400_000), ("2147483647", 2147483647), ("2147483s", 2147483000), ("35791m", 2147460000),
        ("596h", 2145600000), ("24d", 2073600000),
    ],
)
def test_time_units_are_read(text, ms):
    assert units.time_units_ms(text) == ms
    assert units.clipped_time_ms(text) == ms


@pytest.mark.parametrize("text", ["2147483648", "2147484s", "35792m", "597h", "25d", "9" * 60 + "d"])
def test_longer_times_are_clipped(text):
    assert units.clipped_time_ms(text) == 2147483647
    assert units.time_units_ms(text) > 2147483647


@pytest.mark.parametrize("text", ["", "0", "0s", "01", " 1s", "1 s", "1s ", "-1s", "+1", "1.5s", "1S", "1h30m", "s", "1w", "1\n", "١s"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ValueError, match="is no time"):
        units.time_units_ms(text)


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("300ms", 300), ("1.5h", 5_400_000), ("2h45m", 9_900_000), ("45s", 45_000), ("0", 0), ("1ns", 1), ("2µs", 1), (".5s", 500),
        ("1.s", 1000),
    ],
)
def test_go_durations_are_read(text, ms):
    assert units.go_duration_ms(text) == ms


@pytest.mark.parametrize("text", ["", "1", "s", "1d", "1h ", "-1s", "1.5.s", "h1"])
def test_what_is_no_go_duration_is_refused(text):
    with pytest.raises(ValueError, match="is no duration"):
        units.go_duration_ms(text)


@pytest.mark.parametrize("text", ["1", "t", "T", "true", "TRUE", "True"])
def test_words_for_true(text):
    assert units.truth(text) is True


@pytest.mark.parametrize("text", ["0", "yes", "on", " true", "tRUE", "false", ""])
def test_all_else_is_false(text):
    assert units.truth(text) is False


def test_items_are_trimmed_and_empty_ones_dropped():
    assert units.items(" a.example , ,b.example,") == ("a.example", "b.example")


@pytest.mark.parametrize(("text", "size"), [("0", 0), ("16384", 16384), ("16k", 16384), ("1M", 1048576), ("2g", 2 << 30)])
def test_sizes_are_read(text, size):
    assert units.size_bytes(text) == size


@pytest.mark.parametrize("text", ["", "k", "1kb", "-1", "1.5k", "1 k"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match="is no size"):
        units.size_bytes(text)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:8080", "127.0.0.1", 8080), ("[::]:80", "::", 80), ("[::1]:0", "::1", 0), ("0.0.0.0:65535", "0.0.0.0", 65535)],
)
def test_addresses_are_read_and_written(text, host, port):
    found = units.address(text)
    assert (found.host, found.port, found.path) == (host, port, "")
    assert str(found) == text


def test_unix_addresses_are_read_and_written():
    assert units.address("unix:/run/edged/web").path == "/run/edged/web"
    assert str(units.address("unix:/run/edged/web")) == "unix:/run/edged/web"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("80", "has no port"), ("127.0.0.1", "has no port"), ("127.0.0.1:", "has no port"), ("127.0.0.1:x", "has no port"),
        ("127.0.0.1:65536", "at most 65535"), ("localhost:80", "no IP address"), (":80", "no IP address"), ("::1:80", "brackets"),
        ("[127.0.0.1]:80", "brackets"), ("[::1:80", "no IP address"), ("unix:relative", "starts with"),
        ("unix:/" + "x" * 107, "at most 107"),
        ("127.0.0.1:٨٠", "has no port"), ("127.1:80", "no IP address"),
    ],
)
def test_what_is_no_address_is_refused_with_a_reason(text, why):
    with pytest.raises(ValueError, match=why):
        units.address(text)


def test_networks():
    assert units.network("10.0.0.0/8") == "10.0.0.0/8"
    assert units.network("::1") == "::1/128"
    with pytest.raises(ValueError, match=r'write "10.0.0.0/8"'):
        units.network("10.1.2.3/8")
    with pytest.raises(ValueError, match="is no network"):
        units.network("office")


@pytest.mark.parametrize("ms", [1, 999, 1000, 1500, 60_000, 90_000, 3_600_000, 86_400_000, 2147483647])
def test_times_are_written_as_they_are_read(ms):
    assert units.time_units_ms(units.time_text(ms)) == ms
