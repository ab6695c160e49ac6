"""An ACL says all of what it logs, so that what it does not say any more is taken back."""

from __future__ import annotations

from weft import names, rows
from weft.ovn import acl

IDS = {names.OWNER: "MultiNetworkPolicy/ns/p", names.ROW_ID: "policy/0"}


def made(log: acl.Log) -> rows.Row:
    return acl.row(
        "a1", IDS, direction="to-lport", priority=1001, match="ip", action="drop", log=log
    )


def test_a_severity_makes_it_log_through_the_meter() -> None:
    row = made(acl.Log("alert", "NP:ns"))
    assert row.key == "policy/0"
    assert row.parent == rows.Ref("Port_Group", "a1")
    logging = {"name": "NP:ns", "log": True, "severity": "alert", "meter": "acl-logging"}
    assert logging.items() <= row.columns.items()


def test_without_one_or_with_what_is_none_it_does_not() -> None:
    for severity in ("", "loud"):
        row = made(acl.Log(severity, "NP:ns"))
        assert row.columns["log"] is False
        assert row.columns["severity"] == row.columns["meter"] == frozenset()


def test_the_meter_is_fair_and_has_its_band() -> None:
    meter, band = acl.meter()
    assert meter.columns["fair"] is True
    assert band.parent == rows.Ref("Meter", meter.key)
