"""Reads the cluster's migration settings: ConfigMap `kubevirt-config`, key `migrations`. Pure.

The fields are KubeVirt's MigrationConfiguration, as KubeVirt's own ConfigMap had them; a lab has no
KubeVirt object that could hold them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from weft.decode import quantity

NAMESPACE, NAME, KEY = "kubevirt", "kubevirt-config", "migrations"
_LONGEST = 4096  # characters
_SWITCHES = ("allowAutoConverge", "allowPostCopy", "allowWorkloadDisruption")
_NEVER = ("disableTLS", "unsafeMigrationOverride")  # as the lab has it, if they are false
_READ = frozenset(
    {
        *("parallelMigrationsPerCluster", "parallelOutboundMigrationsPerNode"),
        *("bandwidthPerMigration", "completionTimeoutPerGiB", "progressTimeout"),
        *_SWITCHES,
    }
)


@dataclass(frozen=True, slots=True)
class Configuration:
    """KubeVirt's defaults. Times are seconds; `bandwidth` is bytes per second, 0 for all there is.

    `problem`: why the settings that there are cannot be followed.
    """

    parallel: int = 5
    parallel_outbound: int = 2
    bandwidth: int = 0
    completion_timeout_per_gib: int = 150
    progress_timeout: int = 150
    auto_converge: bool = False
    post_copy: bool = False
    workload_disruption: bool = False
    problem: str = ""

    def refused(self) -> str:
        """Why no migration can be made with these settings; "" if one can."""
        if self.problem:
            return f"{NAMESPACE}/{NAME}: {self.problem}"
        if self.post_copy:
            return (
                f"{NAMESPACE}/{NAME}: allowPostCopy is not supported: a guest whose memory is on "
                "two nodes does not survive the loss of one; set it to false"
            )
        if self.workload_disruption:
            return (
                f"{NAMESPACE}/{NAME}: allowWorkloadDisruption is not supported: a guest that writes"
                " faster than it is sent is never paused for it; set it to false"
            )
        return ""

    def rendered(self) -> dict[str, Any]:
        """migrationState.migrationConfiguration."""
        return {
            "allowAutoConverge": self.auto_converge,
            "allowPostCopy": self.post_copy,
            "allowWorkloadDisruption": self.workload_disruption,
            "bandwidthPerMigration": str(self.bandwidth),
            "completionTimeoutPerGiB": self.completion_timeout_per_gib,
            "parallelMigrationsPerCluster": self.parallel,
            "parallelOutboundMigrationsPerNode": self.parallel_outbound,
            "progressTimeout": self.progress_timeout,
        }


def of_config_map(found: Mapping[str, Any] | None) -> Configuration:
    """The settings of a ConfigMap; KubeVirt's defaults without one."""
    text = str(((found or {}).get("data") or {}).get(KEY) or "")
    if len(text) > _LONGEST:
        return Configuration(problem=f"{KEY} is longer than {_LONGEST} characters")
    try:
        value = yaml.safe_load(text) or {}
    except (yaml.YAMLError, ValueError, RecursionError):  # no date, or too deep
        return Configuration(problem=f"{KEY} is not YAML")
    if not isinstance(value, dict):
        return Configuration(problem=f"{KEY} must be an object")
    return parse(value)


def parse(value: Mapping[str, Any]) -> Configuration:
    """Of an object with KubeVirt's fields; one that would have no effect is a problem."""
    for name, given in value.items():
        if name in (*_NEVER, *_SWITCHES) and type(given) is not bool:
            return Configuration(problem=f"{name} must be true or false")
        if name not in _READ and not (name in _NEVER and given is False):
            return Configuration(problem=f"{str(name)[:100]} is not followed by the lab; remove it")
    known = Configuration()
    numbers = {}
    for name, default in (
        ("parallelMigrationsPerCluster", known.parallel),
        ("parallelOutboundMigrationsPerNode", known.parallel_outbound),
        ("completionTimeoutPerGiB", known.completion_timeout_per_gib),
        ("progressTimeout", known.progress_timeout),
    ):
        given = value.get(name, default)
        if type(given) is not int or given < 0:
            return Configuration(problem=f"{name} must be a whole number of at least 0")
        numbers[name] = given
    try:
        bandwidth = quantity.parse(value.get("bandwidthPerMigration", 0))
    except ValueError:
        return Configuration(problem="bandwidthPerMigration must be a quantity, such as 64Mi")
    return Configuration(
        *(numbers["parallelMigrationsPerCluster"], numbers["parallelOutboundMigrationsPerNode"]),
        bandwidth,
        *(numbers["completionTimeoutPerGiB"], numbers["progressTimeout"]),
        value.get("allowAutoConverge") is True,
        value.get("allowPostCopy") is True,
        value.get("allowWorkloadDisruption") is True,
    )
