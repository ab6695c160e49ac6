from __future__ import annotations

import pytest

from weft import rows

NOTHING: frozenset[rows.Atom] = frozenset()


@pytest.mark.parametrize(
    ("desired", "have", "named"),
    [
        ("secure", "secure", ()),
        ("secure", "standalone", ("Bridge b c",)),
        ("secure", NOTHING, ("Bridge b c",)),
        (NOTHING, NOTHING, ()),
        (NOTHING, frozenset({"a", "b"}), ("Bridge b c",)),
        (frozenset({"a"}), "a", ()),
        ({"k": "v"}, {"k": "v"}, ()),
        ({"k": "v"}, {"k": "v", "more": "1"}, ("Bridge b c",)),
        (rows.MapEntries({"k": "v"}), {"k": "v", "more": "1"}, ()),
        (rows.MapEntries({"k": "v", "l": "w"}), {"k": "x"}, ("Bridge b c:k", "Bridge b c:l")),
        (rows.MapEntries({}, absent=frozenset({"k"})), {"k": "v"}, ("Bridge b c:k",)),
        (rows.SetMembers(frozenset({"a"})), frozenset({"a", "b"}), ()),
        (
            rows.SetMembers(frozenset({"a"}), frozenset({"b"})),
            frozenset({"a", "b"}),
            ("Bridge b c",),
        ),
        (frozenset({rows.Ref("Interface", "i")}), "some-uuid", ()),
    ],
)
def test_names_what_differs(
    desired: rows.DesiredValue, have: rows.Value, named: tuple[str, ...]
) -> None:
    assert rows.differing(rows.Row("Bridge", "b", {"c": desired}), {"c": have}) == named


def test_names_a_row_that_is_not_there_unless_it_makes_none() -> None:
    assert rows.differing(rows.Row("Bridge", "b"), None) == ("Bridge b",)
    assert rows.differing(rows.Row("Open_vSwitch", ""), None) == ("Open_vSwitch",)
    assert rows.differing(rows.Row("Bridge", "b", is_part=True), None) == ()
