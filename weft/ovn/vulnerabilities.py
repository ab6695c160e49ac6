"""Lists the known faults of OVN versions that a guest can exploit.

The table has what OVN's project has published, and the effect of each fault with weft's rows. Only
the version number counts: a distribution may have fixed a fault without changing it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

Version = tuple[int, int, int]

_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")


class Exposure(StrEnum):
    """The state of a version, and the `reason` of the Node's condition."""

    NONE_KNOWN = "NoneKnown"
    NOT_EXPLOITABLE = "NotExploitable"
    EXPLOITABLE = "Exploitable"
    UNKNOWN = "VersionUnknown"


@dataclass(frozen=True, slots=True)
class Vulnerability:
    """A published fault of OVN; `source` is where it is published.

    `fixed_in` holds the first fixed version of each series. Later series are fixed; older series
    that are not listed are never fixed. `effect` is the effect with weft's rows, and
    `effect_in_userspace` the effect if OVS uses its userspace datapath. `is_exploitable`: guests
    can use it with the kernel datapath.
    """

    name: str
    summary: str
    fixed_in: tuple[Version, ...]
    is_exploitable: bool
    effect: str
    effect_in_userspace: str
    source: str

    def is_in(self, version: Version) -> bool:
        """Whether this version has the fault."""
        for fixed in self.fixed_in:
            if fixed[:2] == version[:2]:
                return version < fixed
        return version < max(self.fixed_in)

    def remedy(self, version: Version) -> Version:
        """The nearest fixed version."""
        return min(fixed for fixed in self.fixed_in if fixed > version)


_APRIL_2026 = ((24, 3, 8), (24, 9, 4), (25, 3, 3), (25, 9, 3), (26, 3, 1))

KNOWN = (
    Vulnerability(
        "CVE-2026-5367",
        "malformed DHCPv6 from a guest crashes ovn-controller or leaks its memory",
        _APRIL_2026,
        False,
        "harmless here, as OVN reads no DHCPv6",
        "harmless here, as OVN reads no DHCPv6",
        "OVN's advisory of 2026-04-20 and commit 0e3d1d908; the end of the process seen in tests",
    ),
    Vulnerability(
        "CVE-2026-5265",
        "a packet shorter than its header says makes ovn-controller leak its memory by ICMP",
        _APRIL_2026,
        True,
        "open to pods of routed networks",
        "harmless here, as OVS in user space drops such packets",
        "OVN's advisory of 2026-04-20 and commit 2c063b508; what is dropped seen in tests",
    ),
)


@dataclass(frozen=True, slots=True)
class Report:
    """The state of a node's OVN version, for its condition and Event."""

    exposure: Exposure
    message: str

    @property
    def status(self) -> str:
        """The status of the condition OVNKnownFaults."""
        words = {Exposure.NONE_KNOWN: "False", Exposure.UNKNOWN: "Unknown"}
        return words.get(self.exposure, "True")


def parse(version_text: str) -> Version | None:
    """The version in northd's version string, such as 25.03.0-20.41.0-78.8."""
    found = _VERSION.match(version_text)
    if found is None:
        return None
    major, minor, patch = map(int, found.groups())
    return major, minor, patch


def report(
    version_text: str, known: Iterable[Vulnerability] = KNOWN, *, in_userspace: bool = False
) -> Report:
    """The report for northd's `version_text` (SB_Global.options:northd_internal_version), "" if it
    is absent. `in_userspace`: the node's OVS uses its userspace datapath."""
    version = parse(version_text)
    if version is None:
        return Report(Exposure.UNKNOWN, "northd has not written its version")
    found = [fault for fault in known if fault.is_in(version)]
    name = f"OVN {dotted(version)}"
    if not found:
        return Report(Exposure.NONE_KNOWN, f"{name}: no known fault that guests can use")
    is_exploitable = any(fault.is_exploitable for fault in found) and not in_userspace
    listed = "; ".join(
        f"{fault.name}, fixed in {dotted(fault.remedy(version))} ({fault.summary}): "
        + (fault.effect_in_userspace if in_userspace else fault.effect)
        for fault in sorted(found, key=lambda fault: not fault.is_exploitable)
    )
    exposure = Exposure.EXPLOITABLE if is_exploitable else Exposure.NOT_EXPLOITABLE
    return Report(exposure, f"{name} has known faults: {listed}")


def dotted(version: Version) -> str:
    """The version as OVN writes it: 25.03.0."""
    major, minor, patch = version
    return f"{major}.{minor:02}.{patch}"
