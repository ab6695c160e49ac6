from __future__ import annotations

from itertools import combinations

from weft.observe.render import colours


def test_a_colour_belongs_to_a_name() -> None:
    """As numbers, so that a change of the rule is noticed: pictures in documents keep theirs."""
    assert [colours.of(name) for name in ("default", "blue", "red")] == [0, 9, 2]
    assert {colours.of(f"network-{number}") for number in range(500)} == set(
        range(1, colours.COUNT + 1)
    )


def test_no_two_colours_are_the_same() -> None:
    known = [colours.colour(number) for number in range(colours.COUNT + 1)]
    for one, other in combinations(known, 2):
        assert one.line != other.line
        assert one.dark_line != other.dark_line


def brightness(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((brightness(one), brightness(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_every_colour_can_be_read_on_its_ground() -> None:
    """4.5 is what WCAG 2 asks of text."""
    for number in range(colours.COUNT + 1):
        colour = colours.colour(number)
        assert contrast(colour.line, "#ffffff") > 4.5
        assert contrast(colour.line, colour.tint) > 4.5
        assert contrast(colour.dark_line, "#14171c") > 4.5
        assert contrast(colour.dark_line, colour.dark_tint) > 4.5
