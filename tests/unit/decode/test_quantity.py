"""Amounts of bytes, as Kubernetes writes them."""

import pytest

from weft.decode import quantity


def test_amounts() -> None:
    assert quantity.parse("512Mi") == 512 << 20
    assert quantity.parse("1.5G") == 1_500_000_000
    assert quantity.parse(quantity.LARGEST) == quantity.LARGEST


@pytest.mark.parametrize(
    "text", ["9" * 5000, "9" * 3_000_000, "1e99", "10E", "8192Ei", "٣Gi", True]
)
def test_what_is_none(text: object) -> None:
    """Refused by a ValueError, and in few words however long it is."""
    with pytest.raises(ValueError, match="is") as caught:
        quantity.parse(text)
    assert len(str(caught.value)) < 200
