"""Defines what an Event's reason is: at which object, what the message says, what to do.

`reasons.py` lists weft's own, and the lab its own.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self

NORMAL, WARNING = "Normal", "Warning"

NAD, POD, POLICY, NODE = "NetworkAttachmentDefinition", "Pod", "MultiNetworkPolicy", "Node"
NAMESPACE = "Namespace"
# Events at ClusterUserDefinedNetworks have the same reasons.
UDN = "UserDefinedNetwork"
QOS = "NetworkQoS"
# Events at VirtualMachineInstances without a machine have the same reasons.
VM = "VirtualMachine"

# Where the server has such an Event already, its count stays.
_LASTING = frozenset(
    (
        *("OutsideNodeSubnet", "AnnotationIgnored", "OverlappingSubnets", "OVNKnownFault"),
        *("PodNetworksOverwritten", "PodNetworksLost", "AddressNotKept", "NetworksChangeRefused"),
        *("MachineClaimRefused", "MachineIdentityConflict", "NicNotPlugged"),
    )
)


class EventReason(StrEnum):
    """`about` is the kind of the object, `type` is Normal or Warning.

    `cases` are what a message says, and as Markdown what that means and what to do.
    `lasts`: it tells of a state.
    """

    about: str
    type: str
    cases: tuple[tuple[str, str], ...]

    @property
    def lasts(self) -> bool:
        return self.value in _LASTING

    def __new__(cls, name: str, about: str, type: str, *cases: tuple[str, str]) -> Self:
        one = str.__new__(cls, name)
        one._value_ = name
        one.about, one.type, one.cases = about, type, cases
        return one
