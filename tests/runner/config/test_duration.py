import pytest

from runner.config.duration import parse_duration, show_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("45s", 45),
        ("10m", 600),
        ("1h30m", 5400),
        ("2d", 172800),
        ("1d1h1m1s", 90061),
        ("1.5h", 5400),
        ("0.5s", 0.5),
        (90, 90),
        (0.5, 0.5),
    ],
)
def test_a_duration_is_read_in_seconds(text, seconds):
    assert parse_duration(text) == seconds
    assert isinstance(parse_duration(text), float)


@pytest.mark.parametrize("text", ["", "soon", "10", "10 m", "m10", "10M", "1h-5m", "1e3s", "10m\n", None, True, [60]])
def test_what_is_no_duration_is_refused_with_the_rule(text):
    with pytest.raises(ValueError, match="a duration is written like 90s, 10m or 1h30m"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["0s", "0h0m", 0, -5, -0.1, 0.0])
def test_a_duration_is_more_than_zero(text):
    with pytest.raises(ValueError, match="a duration is more than zero"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (9.94, "9.9 s"),
        (10, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 m 0 s"),
        (75, "1 m 15 s"),
        (3599.7, "1 h 0 m"),
        (5400, "1 h 30 m"),
        (86400, "1 d 0 h"),
        (200000, "2 d 7 h"),
    ],
)
def test_a_duration_is_shown_in_at_most_two_units(seconds, text):
    assert show_duration(seconds) == text
