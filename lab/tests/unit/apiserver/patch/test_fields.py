"""The fields of an object: their names have an end."""

from __future__ import annotations

from typing import Any

import pytest

from weft.decode.budget import Exceeded
from weft_lab.apiserver import (
    structural,
)
from weft_lab.apiserver.patch import fields


def test_deep_and_wide_objects_have_no_end_of_field_names() -> None:
    wide: Any = {f"k{n}": 1 for n in range(3000)}
    for _ in range(180):
        wide = {"a": wide}
    with pytest.raises(Exceeded, match="400000 steps"):
        fields.owned(structural.ANYTHING, wide)
