"""What is judged of a machine before a lab's first run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from weft.observe.checks import Verdict
from weft_lab import machine
from weft_lab.machine import Facts

WELL = Facts(
    python=(3, 12),
    architecture="x86_64",
    namespaces="",
    namespaces_remedy="",
    tun="",
    kvm="",
    free=(("/var/somewhere", 90_000_000_000),),
    mirror="",
    mirror_address="http://deb.example/debian",
)


@pytest.mark.parametrize(
    ("facts", "verdict", "what"),
    [
        ({"python": (3, 10)}, Verdict.FAIL, "Python"),
        ({"architecture": "aarch64"}, Verdict.FAIL, "processor"),
        (
            {"namespaces": "not allowed", "namespaces_remedy": "sysctl -w x=1"},
            Verdict.FAIL,
            "user namespaces",
        ),
        ({"tun": "cannot be opened"}, Verdict.FAIL, "/dev/net/tun"),
        ({"kvm": "cannot be opened"}, Verdict.WARN, "/dev/kvm"),
        ({"free": (("/x", 1_000_000_000),)}, Verdict.WARN, "disk of /x"),
        ({"free": (("/x", 1_000_000),)}, Verdict.FAIL, "disk of /x"),
        ({"mirror": "cannot be read"}, Verdict.FAIL, "Debian mirror"),
    ],
)
def test_each_thing_that_is_missing_has_a_remedy(
    facts: dict[str, Any], verdict: Verdict, what: str
) -> None:
    (found,) = [
        one for one in machine.judge(replace(WELL, **facts)) if one.verdict is not Verdict.OK
    ]
    assert (found.verdict, found.what) == (verdict, what)
    assert found.remedy


def test_a_machine_that_has_all() -> None:
    found = machine.judge(WELL)
    assert {one.verdict for one in found} == {Verdict.OK}
    assert found[-1].seen == "http://deb.example/debian answers"
    fetched = machine.judge(replace(WELL, mirror=None))
    assert "fetched already" in fetched[-1].seen


def test_looking_changes_nothing_and_sees_this_python() -> None:
    seen = machine.read_facts()
    assert seen.python >= machine.OLDEST_PYTHON
    assert all(free >= 0 for _, free in seen.free)
