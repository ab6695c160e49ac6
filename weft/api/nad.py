"""Which network does a NetworkAttachmentDefinition declare, and what is wrong with it?

    parse        the NetworkSpec, None for another plugin's definition, or the first problem
    problems     all problems, for a linter or an event
    difference   where two definitions of one network disagree
    check_underlay   whether the nodes' own network can carry the declared MTU

The rules of the configuration's fields are `netconf.py`'s.
"""

from __future__ import annotations

from collections.abc import Mapping

from weft import errors, model, names
from weft.api import cidrs, fields, netconf, objects

KIND = "NetworkAttachmentDefinition"
_CONFIG = "spec.config"

MOST_PROBLEMS = 10

# What Geneve with OVN's option takes from each packet, inner Ethernet header included.
TUNNEL_OVERHEAD = {4: 58, 6: 78}

# NetConf key for each field of NetworkSpec, in the order in which differences are looked for.
_KEYS = {
    "name": "name",
    "topology": "topology",
    "role": "role",
    "mtu": "mtu",
    "subnets": "subnets",
    "host_prefix": "subnets",
    "exclude_subnets": "excludeSubnets",
    "reserved_subnets": "reservedSubnets",
    "allow_persistent_ips": "allowPersistentIPs",
    "vlan_id": "vlanID",
    "physical_network": "physicalNetworkName",
}
_DHCP_KEYS = {
    "enabled": "dhcp.enabled",
    "lease_seconds": "dhcp.leaseSeconds",
    "routers": "dhcp.routers",
    "dns": "dhcp.dns",
    "domain": "dhcp.domain",
}


def parse(
    nad: object, *, default_mtu: int = 1400, reserved: cidrs.Reserved = ()
) -> model.NetworkSpec | None:
    """The network that `nad` declares; None if another plugin serves it.

    `reserved` names ranges that overlays must not overlap: ("the cluster's pods", subnet).
    """
    spec, found = _read(nad, default_mtu, reserved)
    if found:
        raise found[0]
    return spec


def problems(
    nad: object, *, default_mtu: int = 1400, reserved: cidrs.Reserved = ()
) -> list[errors.InvalidInput]:
    """What is wrong with `nad`, in the order of its reading; a message need not tell more."""
    return _read(nad, default_mtu, reserved)[1][:MOST_PROBLEMS]


def _read(
    nad: object, default_mtu: int, reserved: cidrs.Reserved
) -> tuple[model.NetworkSpec | None, list[errors.InvalidInput]]:
    found: list[errors.InvalidInput] = []
    try:
        config = _config(nad, found)
    except errors.InvalidInput as error:
        return None, [*found, error]
    if config is None:
        return None, found
    own = "/".join(objects.key(nad))
    spec = netconf.read(config, own, default_mtu=default_mtu, reserved=tuple(reserved))
    return spec, found


def _config(nad: object, found: list[errors.InvalidInput]) -> fields.Fields | None:
    """The NetConf for weft inside `nad`, in either of its forms; None if there is none."""
    subject = objects.subject(KIND, nad)
    spec = nad.get("spec") if isinstance(nad, Mapping) else None
    text = spec.get("config") if isinstance(spec, Mapping) else None
    if text is None or text == "":
        return None  # the runtime looks for a configuration on disk: none of ours
    if not isinstance(text, str):
        rule = f"must be a string that holds JSON, not {fields.kind_of(text)}"
        raise errors.InvalidInput(subject, _CONFIG, text, rule)
    raw = fields.decode(subject, _CONFIG, text)
    if not isinstance(raw, Mapping):
        rule = f"must hold a JSON object, not {fields.kind_of(raw)}"
        raise errors.InvalidInput(subject, _CONFIG, raw, rule)
    config = fields.Fields(subject, _CONFIG, raw, found)
    if config.has("plugins"):
        return _from_list(config)
    return config if config.text("type") == names.CNI_TYPE else None


def _from_list(outer: fields.Fields) -> fields.Fields | None:
    """The one plugin of a list form, with the list's name and version."""
    plugins = outer.value("plugins")
    if not isinstance(plugins, list):
        rule = f"must be a list of objects, not {fields.kind_of(plugins)}"
        outer.refuse("plugins", plugins, rule)
        return None
    objects_ = [plugin for plugin in plugins if isinstance(plugin, Mapping)]
    if not any(plugin.get("type") == names.CNI_TYPE for plugin in objects_):
        return None
    if outer.has("type"):
        rule = "stands beside plugins; a configuration is a single plugin or a list, not both"
        outer.refuse("type", outer.value("type"), rule, hint="remove type or plugins")
        return None
    if len(plugins) > 1:
        types = ", ".join(repr(plugin.get("type")) for plugin in objects_)
        rule = f"chains {len(plugins)} plugins ({types}); {names.CNI_TYPE} must stand alone"
        outer.refuse("plugins", None, rule, hint="leave one plugin in the list")
        return None
    inherited = {key: outer.raw[key] for key in ("name", "cniVersion") if key in outer.raw}
    path = f"{outer.path}.plugins[0]"
    return fields.Fields(outer.subject, path, {**objects_[0], **inherited}, outer.problems)


def difference(one: model.NetworkSpec, other: model.NetworkSpec) -> str | None:
    """The first NetConf key in which two definitions of one network disagree, None if in none."""
    for attribute, key in _KEYS.items():
        if _comparable(getattr(one, attribute)) != _comparable(getattr(other, attribute)):
            return key
    for attribute, key in _DHCP_KEYS.items():
        if getattr(one.dhcp, attribute) != getattr(other.dhcp, attribute):
            return key
    return None


def _comparable(value: object) -> object:
    """Subnets in another order are the same subnets."""
    return frozenset(value) if isinstance(value, tuple) else value


def check_underlay(
    spec: model.NetworkSpec, underlay_mtu: int, *, family: int = 4, where: str = ""
) -> None:
    """Refuse an MTU that does not fit into a tunnel over the nodes' own network.

    `family` is that of the tunnel's endpoints; `where` names the definition or the node.
    """
    overhead = 0 if spec.topology is model.Topology.LOCALNET else TUNNEL_OVERHEAD[family]
    most = underlay_mtu - overhead
    if spec.mtu > most:
        rule = (
            f"is more than the underlay carries: its MTU is {underlay_mtu}, and a tunnel over "
            f"IPv{family} takes {overhead} of it"
        )
        if not overhead:
            rule = f"is more than the underlay carries: its MTU is {underlay_mtu}"
        hint = f"set mtu to {most} or less, or raise the MTU of the nodes' network"
        raise errors.InvalidInput(where or f"network {spec.name}", "mtu", spec.mtu, rule, hint=hint)


def ignored_keys(nad: object) -> list[str]:
    """Sentences about keys that nobody reads and that look like a slip of a known key."""
    try:
        config = _config(nad, [])
    except errors.InvalidInput:
        return []
    return [] if config is None else netconf.slips(config)
