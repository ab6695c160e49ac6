"""The form of flows: what was asked, and whom a text names."""

from __future__ import annotations

import pytest

from tests.support import consoled
from tests.unit.observe.test_members import nad
from weft import errors
from weft.console.pages import flows
from weft.kube import resources
from weft.observe.flows.subjects import Subject


def test_nothing_is_looked_at_before_the_form_is_sent() -> None:
    reading = consoled.read({resources.NADS: [nad("blue", "blue")]})
    assert not flows.view(reading, consoled.asked()).is_asked
    found = flows.view(reading, consoled.asked({"network": "", "dropped": "1"}))
    assert (found.is_asked, found.only_denied, found.networks) == (True, True, ("blue",))


@pytest.mark.parametrize(
    ("about", "expected"),
    [
        ("", None),
        ("web", Subject("shop", "web", False)),
        ("other/web", Subject("other", "web", False)),
        ("pod/other/web", Subject("other", "web", False)),
        ("vm/db", Subject("shop", "db", True)),
        ("vm/other/db", Subject("other", "db", True)),
    ],
)
def test_a_pod_or_a_machine_is_named(about: str, expected: Subject | None) -> None:
    assert flows.subject(about, "shop") == expected


def test_what_names_nothing_is_refused() -> None:
    with pytest.raises(errors.InvalidInput, match="must be NAME or NAMESPACE/NAME"):
        flows.subject("a/b/c", "shop")
