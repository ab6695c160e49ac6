"""Lists the kinds of object that weft uses, and their API paths.

`weft.api` parses the objects.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from weft import errors
from weft.model import ObjectKey

_OTHER_PATH = frozenset("/?#%")


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind: its name in API paths (`plural`), and in objects (`kind`).

    `older`: versions that serve where a server does not have `version`, the best first.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    older: tuple[str, ...] = ()

    def __hash__(self) -> int:
        return hash(self.plural)

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def in_each_version(self) -> tuple[Resource, ...]:
        """The kind in `version` and in each older one, alone."""
        versions = (self.version, *self.older)
        return tuple(replace(self, version=version, older=()) for version in versions)

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The URL path of a collection or, with `name`, of an object or its subresource.

        Raises InvalidInput for what would make it another path: no object is called so.
        """
        for field, given in (("namespace", namespace), ("name", name)):
            if given in (".", "..") or not _OTHER_PATH.isdisjoint(given):
                rule = "is no object's name: it may not be . or .., nor have / ? # or %"
                raise errors.InvalidInput(self.kind, field, given, rule)
        parts = ["/apis", self.group] if self.group else ["/api"]
        parts.append(self.version)
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        if name:
            parts.append(name)
        if subresource:
            parts.append(subresource)
        return "/".join(parts)


PODS = Resource("", "v1", "pods", "Pod")
NODES = Resource("", "v1", "nodes", "Node", namespaced=False)
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
EVENTS = Resource("", "v1", "events", "Event")
SERVICES = Resource("", "v1", "services", "Service")
SECRETS = Resource("", "v1", "secrets", "Secret")
CONFIGMAPS = Resource("", "v1", "configmaps", "ConfigMap")
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
REPLICASETS = Resource("apps", "v1", "replicasets", "ReplicaSet")
DAEMONSETS = Resource("apps", "v1", "daemonsets", "DaemonSet")
JOBS = Resource("batch", "v1", "jobs", "Job")
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
CRDS = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", False
)
WEBHOOKS = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "validatingwebhookconfigurations",
    "ValidatingWebhookConfiguration",
    False,
)
NADS = Resource(
    "k8s.cni.cncf.io", "v1", "network-attachment-definitions", "NetworkAttachmentDefinition"
)
IPAMCLAIMS = Resource("k8s.cni.cncf.io", "v1alpha1", "ipamclaims", "IPAMClaim")
# The published CRD has `endPort` in v1beta2 alone.
MULTINETWORKPOLICIES = Resource(
    "k8s.cni.cncf.io",
    "v1beta2",
    "multi-networkpolicies",
    "MultiNetworkPolicy",
    older=("v1beta1",),
)
NETWORKS = Resource("weft.internal", "v1alpha1", "networks", "Network", namespaced=False)
PODENDPOINTS = Resource("weft.internal", "v1alpha1", "podendpoints", "PodEndpoint")
UDNS = Resource("k8s.ovn.org", "v1", "userdefinednetworks", "UserDefinedNetwork")
CUDNS = Resource(
    "k8s.ovn.org", "v1", "clusteruserdefinednetworks", "ClusterUserDefinedNetwork", False
)
NETWORKQOSES = Resource("k8s.ovn.org", "v1alpha1", "networkqoses", "NetworkQoS")
VMS = Resource("kubevirt.io", "v1", "virtualmachines", "VirtualMachine")
VMIS = Resource("kubevirt.io", "v1", "virtualmachineinstances", "VirtualMachineInstance")
# KubeVirt's own API of what can be done with them, in paths below their names.
VM_ACTIONS = Resource("subresources.kubevirt.io", "v1", VMS.plural, VMS.kind)
VMI_CONSOLES = Resource("subresources.kubevirt.io", "v1", VMIS.plural, VMIS.kind)
CONSOLE_PROTOCOL = "plain.kubevirt.io"
VMIMS = Resource(
    "kubevirt.io", "v1", "virtualmachineinstancemigrations", "VirtualMachineInstanceMigration"
)

ALL = (
    PODS, NODES, NAMESPACES, EVENTS, SECRETS, CONFIGMAPS, SERVICE_ACCOUNTS, LEASES, CRDS, NADS,
    IPAMCLAIMS, MULTINETWORKPOLICIES, NETWORKS, PODENDPOINTS, UDNS, CUDNS, NETWORKQOSES, VMS, VMIS,
    VMIMS, REPLICASETS, DAEMONSETS, JOBS,
)  # fmt: skip


def key(obj: Mapping[str, Any]) -> ObjectKey:
    """The key of an object as the API server sends it."""
    meta = obj["metadata"]
    return ObjectKey(meta.get("namespace") or "", meta["name"])
