"""Names the entry of the ConfigMap of public keys that says that all PodEndpoints are written.

Agents of former versions skip it, as it is no key.
"""

from __future__ import annotations

from collections.abc import Mapping

ENDPOINTS, WRITTEN = "pod-endpoints", "written"


def is_in(data: Mapping[str, object]) -> bool:
    """Whether the ConfigMap's data has the entry."""
    return data.get(ENDPOINTS) == WRITTEN
