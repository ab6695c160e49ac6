"""Parses a NetworkAttachmentDefinition into the network that it declares, or says what is wrong.

    parse        the NetworkSpec; None for another plugin's NAD; raises the first problem
    problems     all problems, for a linter or an Event
    network_name the network that an invalid NAD names
    difference   the first key in which two NADs of one network disagree, `differences` all of
                 them, and `value_of` the value that a NAD has for a key
    near_miss, ignored_keys   valid, but probably a mistake
    check_underlay   whether the underlay can carry the declared MTU

`netconf.py` has the rules of the configuration's fields.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from weft import errors, model, names
from weft.api import bandwidth, cidrs, fields, netconf, objects

KIND = "NetworkAttachmentDefinition"
_CONFIG = "spec.config"

MAX_PROBLEMS = 10

# Bytes that Geneve with OVN's option adds to a packet, inner Ethernet header included.
TUNNEL_OVERHEAD = {4: 58, 6: 78}

# The NetConf key of each field of NetworkSpec, in the order in which `difference` compares.
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
    "persistent_ips": "persistentIPs",
    "vlan_id": "vlanID",
    "trunk": "trunk",
    "physical_network": "physicalNetworkName",
    "dns_records": "dnsRecords",
}
_NIC_KEYS = {"bandwidth": "bandwidth", "port_security": "portSecurity"}
_DHCP_KEYS = {
    "enabled": "dhcp.enabled",
    "lease_seconds": "dhcp.leaseSeconds",
    "routers": "dhcp.routers",
    "dns": "dhcp.dns",
    "domain": "dhcp.domain",
    "options": "dhcp.options",
}


def parse(
    nad: object, *, default_mtu: int = 1400, reserved: cidrs.Reserved = ()
) -> model.NetworkSpec | None:
    """The network that `nad` declares; None if another plugin serves it.

    `reserved` are ranges that overlays must not overlap, with names: ("the cluster's pods",
    subnet).
    """
    spec, found = _read(nad, default_mtu, reserved)
    if found:
        raise found[0]
    return spec


def problems(
    nad: object, *, default_mtu: int = 1400, reserved: cidrs.Reserved = ()
) -> list[errors.InvalidInput]:
    """The problems of `nad`, in reading order; a message need not list all."""
    return _read(nad, default_mtu, reserved)[1][:MAX_PROBLEMS]


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


def network_name(nad: object) -> str:
    """The network that a NAD's text names, whatever else is wrong with it; "" if it names none."""
    try:
        raw = fields.decode("", "", nad["spec"]["config"])  # type: ignore[index]
    except (errors.InvalidInput, TypeError, KeyError):
        return ""
    name = raw.get("name") if isinstance(raw, Mapping) else None
    return str(name) if netconf.is_name(name) else ""


def _config(nad: object, found: list[errors.InvalidInput]) -> fields.Fields | None:
    """weft's NetConf in `nad`, in either of its two forms; None if there is none."""
    subject = objects.subject(KIND, nad)
    spec = nad.get("spec") if isinstance(nad, Mapping) else None
    text = spec.get("config") if isinstance(spec, Mapping) else None
    if text is None or text == "":
        return None  # the runtime then reads a configuration file from disk: not weft's
    if not isinstance(text, str):
        rule = f"must be a string that holds JSON, not {fields.kind_of(text)}"
        raise errors.InvalidInput(subject, _CONFIG, text, rule)
    raw = fields.as_object(subject, _CONFIG, fields.decode(subject, _CONFIG, text))
    config = fields.Fields(subject, _CONFIG, raw, found)
    if config.has("plugins"):
        return _from_list(config)
    return config if config.text("type") == names.CNI_TYPE else None


def _from_list(outer: fields.Fields) -> fields.Fields | None:
    """The one plugin of a plugin list, with the list's name and version."""
    plugins = outer.value("plugins")
    if not isinstance(plugins, list):
        rule = f"must be a list of objects, not {fields.kind_of(plugins)}"
        outer.refuse("plugins", plugins, rule)
        return None
    objects_ = [plugin for plugin in plugins if isinstance(plugin, Mapping)]
    if not any(plugin.get("type") == names.CNI_TYPE for plugin in objects_):
        return None
    if outer.has("type"):
        rule = "is set beside plugins; a configuration is a single plugin or a list, not both"
        outer.refuse("type", outer.value("type"), rule, hint="remove type or plugins")
        return None
    if len(plugins) > 1:
        types = ", ".join(errors.as_written(plugin.get("type")) for plugin in objects_)
        rule = f"chains {len(plugins)} plugins ({types}); {names.CNI_TYPE} must stand alone"
        outer.refuse("plugins", None, rule, hint="leave one plugin in the list")
        return None
    inherited = {key: outer.raw[key] for key in ("name", "cniVersion") if key in outer.raw}
    path = f"{outer.path}.plugins[0]"
    return fields.Fields(outer.subject, path, {**objects_[0], **inherited}, outer.problems)


def difference(one: model.NetworkSpec, other: model.NetworkSpec) -> str | None:
    """The first NetConf key in which two NADs of one network disagree; None if they agree."""
    return next(iter(differences(one, other)), None)


def differences(one: model.NetworkSpec, other: model.NetworkSpec) -> tuple[str, ...]:
    """The NetConf keys in which two NADs differ, except who may use the network."""
    found = [
        key
        for attribute, key in _KEYS.items()
        if _comparable(getattr(one, attribute)) != _comparable(getattr(other, attribute))
    ]
    found += [
        key
        for attribute, key in _DHCP_KEYS.items()
        if getattr(one.dhcp, attribute) != getattr(other.dhcp, attribute)
    ]
    found += [
        key
        for attribute, key in _NIC_KEYS.items()
        if _nic_value(one, attribute) != _nic_value(other, attribute)
    ]
    return tuple(dict.fromkeys(found))


def _nic_value(spec: model.NetworkSpec, attribute: str) -> object:
    """What NICs have that ask for nothing: a port security that is not named is the default's."""
    return spec.default_security if attribute == "port_security" else getattr(spec.nic, attribute)


def value_of(spec: model.NetworkSpec, key: str) -> str:
    """The value that a NAD has for a key from `difference`, as text for a message."""
    attributes = {other: attribute for attribute, other in reversed(_KEYS.items())}
    attributes |= {other: attribute for attribute, other in _DHCP_KEYS.items()}
    attributes |= {other: attribute for attribute, other in _NIC_KEYS.items()}
    if key in _NIC_KEYS.values():
        value = _nic_value(spec, attributes[key])
    else:
        value = getattr(spec.dhcp if key in _DHCP_KEYS.values() else spec, attributes[key])
    if isinstance(value, model.Bandwidth):
        value = bandwidth.render(value) or None
    if isinstance(value, tuple):
        value = ",".join(map(str, value))
    return "none" if value is None or value == "" else errors.as_written(value)


def _comparable(value: object) -> object:
    """The value for comparison: the order of subnets does not matter."""
    return frozenset(value) if isinstance(value, tuple) else value


def check_underlay(
    spec: model.NetworkSpec, underlay_mtu: int, *, family: int = 4, where: str = ""
) -> None:
    """Refuse an MTU with which tunnel packets exceed the underlay's MTU.

    `family` is the IP version of the tunnel endpoints; `where` names the NAD or the node. A
    localnet has no tunnels, and may have NICs of its own: agents judge them.
    """
    overhead = TUNNEL_OVERHEAD[family]
    most = underlay_mtu - overhead
    if spec.mtu > most and spec.topology is not model.Topology.LOCALNET:
        rule = (
            f"is more than the underlay carries: its MTU is {underlay_mtu}, and a tunnel over "
            f"IPv{family} takes {overhead} of it"
        )
        hint = f"set mtu to {most} or less, or raise the MTU of the nodes' network"
        subject = where or f"network {spec.name}"
        raise errors.InvalidInput(subject, f"{_CONFIG}.mtu", spec.mtu, rule, hint=hint)


def near_miss(nad: object) -> str:
    """A sentence about another plugin's NAD that looks meant for weft; "" for others."""
    try:
        if _config(nad, []) is not None:
            return ""
        raw = fields.decode("", "", nad["spec"]["config"])  # type: ignore[index]
    except (errors.InvalidInput, TypeError, KeyError):
        return ""
    if not isinstance(raw, Mapping) or "plugins" in raw:
        return ""
    name = raw.get("type")
    if not name and ("topology" in raw or "netAttachDefName" in raw):
        return (
            f'{_CONFIG}.type: is missing, so no plugin serves this (add "type": "{names.CNI_TYPE}")'
        )
    if isinstance(name, str) and difflib.get_close_matches(name.lower(), [names.CNI_TYPE], 1, 0.85):
        shown = errors.as_written(name)
        return f"{_CONFIG}.type {shown}: is not weft's (did you mean {names.CNI_TYPE}?)"
    return ""


def ignored_keys(nad: object) -> list[str]:
    """Sentences about unknown keys that look like misspelt ones."""
    try:
        config = _config(nad, [])
    except errors.InvalidInput:
        return []
    return [] if config is None else netconf.misspelt_keys(config)
