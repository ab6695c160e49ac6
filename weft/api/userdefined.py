"""Parses UserDefinedNetworks and ClusterUserDefinedNetworks, and renders NADs from them.

    network_name    the name of an object's network; `named_by` is the way back
    configuration   the NetConf of an object's network, and what is wrong with the object
    selector        the namespaces that a ClusterUserDefinedNetwork chooses
    manifest        the NAD of the network in one namespace

What an API server refuses by the schema is judged again: another schema may be installed. What the
NetConf itself breaks is for `netconf.py` to find.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from weft import errors, names
from weft.api import selectors
from weft.api.fields import Fields
from weft.labels import Selector
from weft.model import ObjectKey

Object = Mapping[str, Any]
Config = dict[str, Any]

_CLUSTER_WIDE = "cluster_udn_"  # names of networks of CUDNs begin so
_TOPOLOGIES = ("Layer2", "Layer3", "Localnet")
_PRIMARY = "is not served: a pod's primary network belongs to the cluster's primary CNI"
# Prefixes of annotations that are about the object itself, and are not carried to its NADs.
_OWN_ANNOTATIONS = ("k8s.ovn.org/", "weft/", "kubectl.kubernetes.io/")
_FIELDS = {
    "Layer2": ("role", "mtu", "subnets", "reservedSubnets", "infrastructureSubnets", "ipam"),
    "Layer3": ("role", "mtu", "subnets"),
    "Localnet": (
        *("role", "mtu", "subnets", "excludeSubnets", "ipam"),
        *("physicalNetworkName", "vlan"),
    ),
}


def network_name(namespace: str, name: str) -> str:
    """The network of a UDN; with namespace "" that of a CUDN. No object's name has a `_`."""
    return f"{namespace}_{name}" if namespace else f"{_CLUSTER_WIDE}{name}"


def named_by(network: str) -> ObjectKey | None:
    """The UDN that has a network of this name, or without a namespace the CUDN; None: neither."""
    if network.startswith(_CLUSTER_WIDE):
        return ObjectKey("", network.removeprefix(_CLUSTER_WIDE))
    namespace, underscore, name = network.partition("_")
    is_one = namespace and underscore and name and "_" not in name
    return ObjectKey(namespace, name) if is_one else None


def configuration(fields: Fields, network: str) -> Config:
    """The NetConf of the network that `fields` describe, without `netAttachDefName`.

    `fields` are the `spec` of a UDN or the `spec.network` of a CUDN; they collect the problems.
    """
    topology = fields.text("topology")
    if topology not in _TOPOLOGIES:
        fields.refuse("topology", topology or None, f"must be one of {', '.join(_TOPOLOGIES)}")
        return {}
    block = fields.nested(topology.lower())
    if block is None:
        rule = f"is missing; it is required with topology {topology}"
        fields.refuse(topology.lower(), None, rule)
        return {}
    role = block.text("role")
    if role != "Secondary":
        rule = _PRIMARY if role == "Primary" else "must be Secondary"
        block.refuse("role", role or None, rule, hint="use role Secondary")
        return {}
    fields.only("topology", topology.lower(), "transport")
    block.only(*_FIELDS[topology])
    config: Config = {
        "cniVersion": "1.1.0",
        "type": names.CNI_TYPE,
        "name": network,
        "topology": topology.lower(),
        "role": "secondary",
    }
    is_persistent = topology != "Layer3" and _is_persistent(block)
    optional: Config = {
        "mtu": block.number("mtu"),
        "transport": fields.text("transport").lower(),
        "subnets": _node_subnets(block) if topology == "Layer3" else _listed(block, "subnets"),
        **{key: _listed(block, key) for key in _ranges(topology)},
        "allowPersistentIPs": is_persistent,
        "persistentIPs": "vm" if is_persistent else "",
        "physicalNetworkName": block.text("physicalNetworkName"),
        "vlanID": _vlan(block),
    }
    return config | {key: value for key, value in optional.items() if value}


def _ranges(topology: str) -> tuple[str, ...]:
    return tuple(each for each in _FIELDS[topology] if each.endswith("eSubnets"))


def _listed(block: Fields, name: str) -> str:
    return ",".join(text for _, text in block.strings(name))


def _node_subnets(block: Fields) -> str:
    found = []
    for _, subnet in block.objects("subnets"):
        length = subnet.number("hostSubnet")
        found.append(subnet.text("cidr") + (f"/{length}" if length is not None else ""))
    return ",".join(found)


def _is_persistent(block: Fields) -> bool:
    """Whether claims keep addresses; reports where `ipam` and `subnets` do not go together."""
    ipam = block.nested("ipam")
    mode = (ipam.text("mode") if ipam is not None else "") or "Enabled"
    has_subnets = block.value("subnets") not in (None, [])
    is_persistent = ipam is not None and ipam.text("lifecycle") == "Persistent"
    if mode == "Enabled" and not has_subnets:
        block.refuse("subnets", None, "are required unless ipam.mode is Disabled")
    elif mode != "Enabled" and (has_subnets or is_persistent):
        rule = f"must be absent where ipam.mode is {mode}"
        block.refuse("subnets" if has_subnets else "ipam.lifecycle", None, rule)
    return is_persistent


def _vlan(block: Fields) -> int | None:
    vlan = block.nested("vlan")
    if vlan is None:
        return None
    access = vlan.nested("access")
    if vlan.text("mode") != "Access" or access is None:
        vlan.refuse("mode", vlan.value("mode"), "must be Access, with the number in access.id")
        return None
    return access.number("id")


def selector(spec: Fields) -> Selector | None:
    """The namespaces of a ClusterUserDefinedNetwork; None if the selector is missing."""
    fields = spec.nested("namespaceSelector")
    if fields is None:
        spec.refuse("namespaceSelector", None, "is missing; {} chooses all namespaces")
        return None
    return selectors.read(fields)


def carried_annotations(notes: object) -> dict[str, str]:
    """The annotations of an object that its NADs carry, too."""
    found = notes if isinstance(notes, Mapping) else {}
    return {key: str(value) for key, value in found.items() if not key.startswith(_OWN_ANNOTATIONS)}


def carried_labels(own: object) -> dict[str, str]:
    """The labels of the NADs of an object with labels `own`."""
    found = own if isinstance(own, Mapping) else {}
    return {names.UDN_LABEL: "", **{key: str(value) for key, value in found.items()}}


def text(config: Config, nad: ObjectKey) -> str:
    """The `spec.config` of a NAD."""
    return json.dumps({**config, "netAttachDefName": str(nad)})


def manifest(owner: Object, metadata: Object, config: str, nad: ObjectKey) -> dict[str, Any]:
    """The NAD of a network in one namespace, without its kind.

    `owner` has apiVersion, kind, name and uid of the object that it is rendered from, `metadata`
    labels and annotations.
    """
    return {
        "metadata": {
            **nad._asdict(),
            **metadata,
            "finalizers": [names.UDN_PROTECTION],
            "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": True}],
        },
        "spec": {"config": config},
    }


def problem(found: list[errors.InvalidInput]) -> str:
    """All problems as one text."""
    return "; ".join(dict.fromkeys(each.in_full(named=False) for each in found))
