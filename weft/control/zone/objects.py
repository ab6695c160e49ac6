"""Defines what a zone holds of a pod: once, for its ports, its rows and its policies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from weft import model
from weft.policy import netpolicy


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod that holds allocations: scheduled, with the cluster manager's annotation, not done.

    One that `runs` keeps its networks, whoever may use them by now.
    """

    ref: model.PodRef
    node: str
    allocations: Mapping[str, model.Allocation]
    labels: Mapping[str, str] = field(default_factory=dict)
    named: netpolicy.NamedPorts = field(default_factory=dict)
    precedence: tuple[str, ...] = ()  # of two that claim one address, the lesser has it
    runs: bool = False
