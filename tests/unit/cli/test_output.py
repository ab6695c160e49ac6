"""What commands show while something long goes on."""

from weft.cli import output


def test_only_events_that_count_move_the_bar() -> None:
    reported: list[tuple[str, float]] = []
    tell = output.counting(lambda what, done: reported.append((what, done)), "starting")
    for event in ({"ready": 1, "total": 4}, {"name": "node1"}, {"ready": "x", "total": 4}):
        tell(event)
    assert reported == [("starting", 0.25)]
