"""Gives each network a colour that belongs to its name, the same in every picture.

A colour is a number; `colour` says what it is on light and on dark ground. Two names may share a
colour, so every colour is shown with a name.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import cache

from weft import names

COUNT = 24  # colours of networks, beside the one of the cluster's own
_DEFAULT_ANGLE = 258.0  # degrees on the colour circle
_FIRST_ANGLE, _SPAN = 52.0, 310.0  # without reds, which mean faults


@dataclass(frozen=True, slots=True)
class Colour:
    """A colour as `#rrggbb`: of lines and text, and behind text; then the same on dark ground.

    `terminal` can be read on either ground.
    """

    line: str
    tint: str
    dark_line: str
    dark_tint: str
    terminal: str


def of(network: str) -> int:
    """The colour's number: 0 for the default network, 1 to `COUNT` for others."""
    if network == names.DEFAULT_NETWORK:
        return 0
    return 1 + int.from_bytes(hashlib.sha256(network.encode()).digest()[:4]) % COUNT


@cache
def colour(number: int) -> Colour:
    """The colour of a number. All have one lightness and look equally strong; 0 is the palest."""
    angle = _FIRST_ANGLE + _SPAN / (COUNT - 1) * (number - 1) if number else _DEFAULT_ANGLE
    strength = 1.0 if number else 0.3
    return Colour(
        line=_rgb(0.50, 0.12 * strength, angle),
        tint=_rgb(0.955, 0.025 * strength, angle),
        dark_line=_rgb(0.79, 0.11 * strength, angle),
        dark_tint=_rgb(0.29, 0.04 * strength, angle),
        terminal=_rgb(0.62, 0.13 * strength, angle),
    )


def _rgb(lightness: float, chroma: float, angle: float) -> str:
    """OKLCH as sRGB, by the matrices of its definition (B. Ottosson, 2020)."""
    a, b = chroma * math.cos(math.radians(angle)), chroma * math.sin(math.radians(angle))
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )
    return "#" + "".join(f"{round(255 * _gamma(part)):02x}" for part in linear)


def _gamma(linear: float) -> float:
    value = min(max(linear, 0.0), 1.0)
    return 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055
