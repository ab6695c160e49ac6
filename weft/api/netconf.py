"""Parses the CNI configuration in a NetworkAttachmentDefinition.

A NetConf of type `ovn-k8s-cni-overlay` becomes a NetworkSpec. The rules are those of
ovn-kubernetes for secondary networks, and weft's for `dhcp`. `nad.py` reads the object and the
two forms that the configuration may have in it.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import replace

from weft import model, names, ranges
from weft.api import cidrs, dhcpoptions, netfields, nicoptions, notation, selectors
from weft.api.fields import Fields
from weft.model import ObjectKey

MIN_MTU = 576
MIN_MTU_IPV6 = 1280
MAX_MTU = 65535
# localnet NICs use no tunnel: their default MTU has the tunnel's bytes added again.
LOCALNET_MTU_GAIN = 100

# VLANs that a trunk may list; OVN has a flow for each.
MAX_TRUNK = 256

_CNI_VERSIONS = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,252}")
_LABEL = "[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*")
# A namespace is one DNS label; a pod's name may have several.
_GUEST = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?/[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_LONGEST_NAME = 253
NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def read(
    fields: Fields, nad: str, *, default_mtu: int, reserved: cidrs.Reserved
) -> model.NetworkSpec | None:
    """The network that `fields` describe; None if too little is valid. Problems are in `fields`.

    `nad` is the "<namespace>/<name>" of the NAD.
    """
    name = _name(fields)
    _check_frame(fields, nad)
    topology = _topology(fields)
    if topology is None:
        _mtu(fields, model.Topology.LAYER2, (), default_mtu)  # these problems hold for any topology
        return None
    role = fields.text("role")
    _check_role(fields, role, topology)
    _check_unsupported(fields, topology)
    prefixes: tuple[int, ...] = ()
    if topology is model.Topology.LAYER3:
        subnets, prefixes = cidrs.layer3_subnets(fields, reserved)
    else:
        # The physical network of a localnet may be the cluster's own: no overlap check.
        elsewhere = () if topology is model.Topology.LOCALNET else reserved
        subnets = cidrs.layer2_subnets(fields, elsewhere)
    dhcp = _dhcp(fields, subnets)
    has_names = _dns_records(fields, topology, subnets, dhcp)
    servers = ranges.dns_servers(subnets) if has_names and not dhcp.dns else ()
    spec = model.NetworkSpec(
        name=name,
        topology=topology,
        mtu=_mtu(fields, topology, subnets, default_mtu),
        subnets=subnets,
        exclude_subnets=_part(fields, "excludeSubnets", topology, subnets),
        reserved_subnets=_part(fields, "reservedSubnets", topology, subnets)
        + _part(fields, "infrastructureSubnets", topology, subnets),
        host_prefix=prefixes,
        allow_persistent_ips=_persistent(fields, topology),
        persistent_ips=_claimed_by_default(fields, subnets),
        vlan_id=_vlan(fields, topology),
        trunk=_trunk(fields, topology, subnets),
        physical_network=_physical(fields, topology),
        dns_records=has_names,
        dns_servers=servers,
        dhcp=_announcing(dhcp, servers, name) if has_names else dhcp,
        routers=_guests(fields, "routers"),
        access=_access(fields),
        nic=nicoptions.defaults(fields),
        permits=nicoptions.permits(fields),
    )
    _refuse_full_exclusion(fields, spec)
    return spec


def misspelt_keys(fields: Fields) -> list[str]:
    """Sentences about unknown keys that look like misspelt ones."""
    known = {key.lower(): key for key in (*netfields.USED, *netfields.IGNORED)}
    found = []
    for key in (each for each in fields.raw if each.lower() not in known):
        # In short words two swapped letters make a low similarity ratio.
        near = difflib.get_close_matches(key.lower(), known, 1, 0.8)
        near += [each for each in known if sorted(each) == sorted(key.lower())]
        if near:
            found.append(f"{fields.path}.{key} is ignored; did you mean {known[near[0]]}?")
    return found


def _check_frame(fields: Fields, nad: str) -> None:
    version = fields.text("cniVersion")
    if version and version not in _CNI_VERSIONS:
        rule = f"is not a CNI version; known are {', '.join(_CNI_VERSIONS)}"
        fields.refuse("cniVersion", version, rule)
    named = fields.text("netAttachDefName")
    rule = f'must be "{nad}", the namespace and name of the NAD itself'
    if fields.missing("netAttachDefName"):
        fields.refuse("netAttachDefName", None, f"is missing; it {rule}")
    elif named and named != nad:
        fields.refuse("netAttachDefName", named, rule)
    ipam = fields.nested("ipam")
    if ipam is not None and ipam.raw:
        hint = "remove ipam; name the addresses in subnets"
        fields.refuse(
            "ipam", ipam.raw, "is not supported: weft assigns addresses itself", hint=hint
        )
    fields.expect(netfields.IGNORED)


def _name(fields: Fields) -> str:
    name = fields.text("name")
    if fields.missing("name"):
        fields.refuse("name", None, "is missing or empty", hint="name the network")
    elif name in (names.DEFAULT_NETWORK, names.DEFAULT_CNI_NAME):
        rule = "is the name of the default network"
        fields.refuse("name", name, rule, hint="choose another name")
    elif name and not _NAME.fullmatch(name):
        rule = "must be letters, digits, '_', '.', '-', begin with a letter or digit, at most 253"
        fields.refuse("name", name, rule)
    return name


def is_name(name: object) -> bool:
    """Whether a NAD may give a network this name."""
    reserved = (names.DEFAULT_NETWORK, names.DEFAULT_CNI_NAME)
    return isinstance(name, str) and name not in reserved and bool(_NAME.fullmatch(name))


def _topology(fields: Fields) -> model.Topology | None:
    text = fields.text("topology")
    if text in list(model.Topology):
        return model.Topology(text)
    if text or fields.missing("topology"):
        near = difflib.get_close_matches(text.lower(), list(model.Topology), 1)
        rule = f"must be one of {', '.join(model.Topology)}"
        fields.refuse(
            "topology",
            text or None,
            rule if text else f"is missing; it {rule}",
            hint=f"did you mean {near[0]}?" if near else "",
        )
    return None


def _check_role(fields: Fields, role: str, topology: model.Topology) -> None:
    if role in ("", "secondary"):
        return
    if role != "primary":
        fields.refuse("role", role, "must be secondary, which is also the default")
    elif topology is model.Topology.LOCALNET:
        fields.refuse("role", role, "is impossible: a localnet network is always secondary")
    else:
        rule = "is not served: a pod's primary network belongs to the cluster's primary CNI"
        fields.refuse("role", role, rule, hint="use role secondary")


def _check_unsupported(fields: Fields, topology: model.Topology) -> None:
    transport = fields.text("transport")
    if transport not in ("", "geneve"):
        rule = "is not served: weft carries networks between nodes over Geneve"
        fields.refuse("transport", transport, rule, hint="remove transport")
    if topology is model.Topology.LOCALNET and fields.text("joinSubnet"):
        rule = "is not used on topology localnet"
        fields.refuse("joinSubnet", fields.text("joinSubnet"), rule, hint="remove it")
    if topology is not model.Topology.LAYER2 and fields.text("defaultGatewayIPs"):
        rule = "is used only on topology layer2"
        fields.refuse("defaultGatewayIPs", fields.text("defaultGatewayIPs"), rule, hint="remove it")


def _mtu(
    fields: Fields,
    topology: model.Topology,
    subnets: tuple[model.Subnet, ...],
    default_mtu: int,
) -> int:
    mtu = fields.number("mtu")
    if mtu is None:
        return default_mtu + (LOCALNET_MTU_GAIN if topology is model.Topology.LOCALNET else 0)
    if mtu < MIN_MTU:
        hint = "raise it, or leave mtu out for the default"
        fields.refuse("mtu", mtu, f"must be at least {MIN_MTU}", hint=hint)
    elif mtu < MIN_MTU_IPV6 and any(subnet.version == 6 for subnet in subnets):
        rule = f"must be at least {MIN_MTU_IPV6} on a network with an IPv6 subnet"
        fields.refuse("mtu", mtu, rule, hint="raise it, or remove the IPv6 subnet")
    elif mtu > MAX_MTU:
        fields.refuse("mtu", mtu, f"must be at most {MAX_MTU}")
    return mtu


def _part(
    fields: Fields, name: str, topology: model.Topology, subnets: tuple[model.Subnet, ...]
) -> tuple[model.Subnet, ...]:
    allowed = (
        ("layer2", "localnet") if name == "excludeSubnets" else ("layer2",)
    )  # ovn-kubernetes supports the others on layer2 only
    if topology not in allowed:
        if fields.text(name):
            rule = f"is used only on topology {' and '.join(allowed)}"
            fields.refuse(name, fields.text(name), rule, hint="remove it")
        return ()
    return cidrs.subranges(fields, name, subnets)


def _refuse_full_exclusion(fields: Fields, spec: model.NetworkSpec) -> None:
    for subnet in spec.subnets:
        if any(model.within(subnet, excluded) for excluded in spec.exclude_subnets):
            rule = f"leaves no address of {subnet}"
            hint = "exclude less, or remove subnets if weft should assign no addresses"
            fields.refuse("excludeSubnets", fields.text("excludeSubnets"), rule, hint=hint)


def _persistent(fields: Fields, topology: model.Topology) -> bool:
    is_persistent = bool(fields.flag("allowPersistentIPs"))
    if is_persistent and topology is model.Topology.LAYER3:
        rule = "is impossible on topology layer3, where an address belongs to a node"
        fields.refuse("allowPersistentIPs", True, rule, hint="remove it, or use layer2")
    return is_persistent


def _claimed_by_default(fields: Fields, subnets: tuple[model.Subnet, ...]) -> str:
    """Whose NICs get a claim without naming one: "vm", or ""."""
    whose = fields.text("persistentIPs")
    if whose not in ("", "vm"):
        fields.refuse("persistentIPs", whose, "must be vm", hint="or remove it")
    elif whose and (not subnets or fields.value("allowPersistentIPs") is not True):
        rule = "needs allowPersistentIPs and subnets"
        fields.refuse("persistentIPs", whose, rule, hint="set both, or remove this")
    return whose


def _vlan(fields: Fields, topology: model.Topology) -> int | None:
    vlan = fields.number("vlanID")
    if vlan is None:
        return None
    if topology is not model.Topology.LOCALNET:
        rule = f"is used only on topology localnet, not on {topology}"
        fields.refuse("vlanID", vlan, rule, hint="remove it")
    elif not 1 <= vlan <= 4094:
        hint = "leave vlanID out for untagged traffic"
        fields.refuse("vlanID", vlan, "must be from 1 to 4094", hint=hint)
    return vlan


def _trunk(
    fields: Fields, topology: model.Topology, subnets: tuple[model.Subnet, ...]
) -> tuple[int, ...] | None:
    """A list of VLANs, or `all`."""
    trunk = fields.value("trunk")
    if trunk is None:
        return None
    rule, hint = "", "remove it"
    if trunk != "all" and not isinstance(trunk, list):
        rule, hint = 'must be a list of VLANs, or "all"', "such as [10, 20]"
    elif topology is not model.Topology.LOCALNET:
        rule = f"is used only on topology localnet, not on {topology}"
    elif fields.has("vlanID"):
        rule = "is set beside vlanID, which is the one VLAN of an access port"
        hint = "remove one of the two"
    elif subnets:
        rule = "is set beside subnets: weft assigns no addresses in the VLANs of a trunk"
        hint = "remove one of the two; guests bring their addresses"
    elif trunk == "all":
        return ()
    elif not trunk or not all(map(_is_vlan, trunk)):
        rule = 'must be "all", or a list of VLANs from 1 to 4094, with 0 for untagged packets'
        hint = "such as [10, 20]"
    elif len(set(trunk)) > MAX_TRUNK:
        rule = f'names {len(set(trunk))} VLANs; a list can have {MAX_TRUNK}, or be "all"'
    else:
        return tuple(sorted(set(trunk)))
    fields.refuse("trunk", trunk, rule, hint=hint)
    return None


def _is_vlan(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 4094


def _physical(fields: Fields, topology: model.Topology) -> str:
    name = fields.text("physicalNetworkName")
    if topology is not model.Topology.LOCALNET:
        if name:
            rule = f"is used only on topology localnet, not on {topology}"
            fields.refuse("physicalNetworkName", name, rule, hint="remove it")
        return ""
    if len(name) > 253 or "," in name or ":" in name:
        rule = "must have at most 253 characters, none of them a comma or colon"
        fields.refuse("physicalNetworkName", name, rule)
    return name or fields.text("name")


def _dhcp(outer: Fields, subnets: tuple[model.Subnet, ...]) -> model.Dhcp:
    fields = outer.nested("dhcp")
    if fields is None:
        return model.Dhcp()
    fields.only(*netfields.DHCP)
    enabled = fields.flag("enabled")
    if enabled and not subnets:
        rule = "needs subnets: there is no address to lease"
        fields.refuse("enabled", enabled, rule, hint="add subnets, or remove dhcp")
    lease = fields.number("leaseSeconds")
    if lease is not None and not 60 <= lease < 2**32:
        fields.refuse("leaseSeconds", lease, "must be from 60 to 4294967295")
    domain = fields.text("domain")
    if domain and (len(domain) > 253 or not _DOMAIN.fullmatch(domain)):
        fields.refuse("domain", domain, "must be a DNS name such as example.org")
    return model.Dhcp(
        enabled=enabled is not False,
        lease_seconds=model.Dhcp().lease_seconds if lease is None else lease,
        routers=_servers(fields, "routers", subnets),
        dns=_servers(fields, "dns", subnets),
        domain=domain,
        servers=_guests(fields, "servers"),
        options=dhcpoptions.read(fields, dhcpoptions.NETWORK_KEYS),
    )


def _dns_records(
    fields: Fields, topology: model.Topology, subnets: tuple[model.Subnet, ...], dhcp: model.Dhcp
) -> bool:
    is_on = bool(fields.flag("dnsRecords"))
    if is_on and not subnets:
        fields.refuse("dnsRecords", True, "needs subnets", hint="add subnets, or remove it")
    elif is_on and topology is not model.Topology.LAYER2 and not dhcp.dns:
        rule = f"needs a server in dhcp.dns on topology {topology}: weft has no address for its own"
        hint = "name one; OVN answers for members on its behalf"
        fields.refuse("dnsRecords", True, rule, hint=hint)
    return is_on


def _announcing(dhcp: model.Dhcp, servers: tuple[model.Address, ...], network: str) -> model.Dhcp:
    """DHCP that also names the network's own DNS server, and its domain, unless it names some."""
    domain = dhcp.domain or (network.lower() if _DOMAIN.fullmatch(network) else "")
    return replace(dhcp, dns=dhcp.dns or servers, domain=domain)


def _guests(fields: Fields, name: str) -> tuple[ObjectKey, ...]:
    """Pods or VMs, as "<namespace>/<name>"; all who may create one there may use the name."""
    found = set()
    for place, text in fields.strings(name):
        if _GUEST.fullmatch(text) and len(text.partition("/")[2]) <= _LONGEST_NAME:
            found.add(ObjectKey.parse(text))
        else:
            rule = "must be <namespace>/<name> of a pod or virtual machine"
            fields.refuse(place, text, rule)
    return tuple(sorted(found))


def _servers(
    fields: Fields, name: str, subnets: tuple[model.Subnet, ...]
) -> tuple[model.Address, ...]:
    found: list[model.Address] = []
    for place, text in fields.strings(name):
        try:
            address = notation.address(text)
        except ValueError as error:
            fields.refuse(place, text, str(error))
            continue
        own = [subnet for subnet in subnets if subnet.version == address.version]
        if name == "routers" and address.version == 6:
            fields.refuse(place, text, "is IPv6, and DHCPv6 cannot name a router")
        elif not own:
            fields.refuse(
                place, text, f"is IPv{address.version}, but subnets has none of that family"
            )
        elif name == "routers" and address not in own[0]:
            fields.refuse(place, text, f"must lie in subnet {own[0]}")
        else:
            found.append(address)
    return tuple(found)


def _access(fields: Fields) -> model.Access:
    """`allowedNamespaces` as in Multus' `globalNamespaces`, labels as in NetworkPolicy's peers."""
    names_: tuple[str, ...] | None = None
    if fields.has("allowedNamespaces"):
        found = set()
        for place, text in fields.strings("allowedNamespaces"):
            if NAMESPACE.fullmatch(text):
                found.add(text)
                continue
            hint = "namespaceSelector {} admits all namespaces" if text == "*" else ""
            fields.refuse(place, text, "must be the name of a namespace", hint=hint)
        names_ = tuple(sorted(found))
    chosen = fields.nested("namespaceSelector")
    return model.Access(names_, selectors.read(chosen) if chosen is not None else None)
