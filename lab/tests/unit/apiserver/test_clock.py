import pytest

from weft_lab.apiserver import clock


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (119, "119s"),
        (125, "2m5s"),
        (180, "3m"),
        (3599, "59m"),
        (3600 * 3, "3h"),
        (3600 * 3 + 60, "3h1m"),
        (3600 * 30, "30h"),
        (86400 * 3 + 3600, "3d1h"),
        (86400 * 30, "30d"),
        (86400 * 800, "2y70d"),
        (-5, "<invalid>"),
    ],
)
def test_durations_read_as_in_kubectl(seconds: float, text: str) -> None:
    assert clock.duration(seconds) == text


def test_times_are_read_back() -> None:
    assert clock.at(clock.parse("2024-01-02T03:04:05Z")) == "2024-01-02T03:04:05Z"
    assert clock.parse("2024-01-02T03:04:05.123456Z") > clock.parse("2024-01-02T03:04:05Z")
    assert clock.parse("never") == 0.0
    assert clock.age("") == "<unknown>"
