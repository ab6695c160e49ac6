"""Finds what is wrong with a VirtualMachine or VirtualMachineInstance.

Every finding names object, field, value and rule. Pure; it does not check whether a network or a
disk image exists.
"""

from __future__ import annotations

import base64
import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from weft.decode import quantity
from weft.errors import InvalidInput
from weft_lab.vm import disks, fields, machine, requested, schema

STRATEGIES = ("Always", "Halted", "Manual", "RerunOnFailure", "Once")
BINDINGS = ("bridge", "masquerade", "slirp", "passt")
KNOWN_BINDINGS = (*BINDINGS, "sriov", "macvtap")
MODELS = ("virtio", "e1000", "e1000e", "rtl8139", "ne2k_pci", "pcnet")
MAC = re.compile(r"([0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}")
LABEL = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
DISK_KINDS = ("disk", "cdrom", "lun")
SOURCES = ("containerDisk", "hostDisk", "emptyDisk", "cloudInitNoCloud")
KNOWN_SOURCES = (*SOURCES, "cloudInitConfigDrive", *fields.REPORTED_ELSEWHERE)

Spec = Mapping[str, Any]
Findings = Iterator[InvalidInput]


def machine_findings(vm: Mapping[str, Any]) -> list[InvalidInput]:
    """Of a VirtualMachine: how it is run, and its template."""
    check = _Check(_called("VirtualMachine", vm))
    spec = vm.get("spec") or {}
    if not isinstance(spec, Mapping):
        return [check.wrong("spec", spec, "must be an object with at least `template`")]
    return list(check.strategy(spec)) + [
        finding
        for template in check.mappings(spec, "spec", "template", required=True)
        for finding in (
            *_instance(check, template.get("spec"), "spec.template.spec"),
            *_requested(check, template, "spec.template.metadata"),
        )
    ] + check.broken  # fmt: skip


def instance_findings(vmi: Mapping[str, Any]) -> list[InvalidInput]:
    """Of a VirtualMachineInstance."""
    check = _Check(_called("VirtualMachineInstance", vmi))
    found = [*_instance(check, vmi.get("spec"), "spec"), *_requested(check, vmi, "metadata")]
    notes = vmi["metadata"].get("annotations")
    image = notes.get(machine.DISK_ANNOTATION) if isinstance(notes, Mapping) else None
    if image and not disks.is_plain(image):
        at, rule = f"metadata.annotations[{machine.DISK_ANNOTATION}]", "must be an absolute path"
        found.append(check.wrong(at, image, rule))
    return [*found, *check.broken]


def _requested(check: _Check, obj: Mapping[str, Any], at: str) -> Findings:
    """Addresses that an instance, or the template of one, asks for."""
    metadata, spec = obj.get("metadata") or {}, obj.get("spec") or {}
    if isinstance(metadata, Mapping) and isinstance(spec, Mapping):
        yield from requested.findings(check.called, metadata, spec, at)


def unknown_findings(obj: Mapping[str, Any]) -> Findings:
    """Fields that are none of KubeVirt's; an API server drops or refuses them."""
    check = _Check(_called(obj["kind"], obj))
    for path, near in fields.unknown(obj, obj["kind"]):
        rule = f"is not a field of {obj['kind']} in KubeVirt"
        yield check.wrong(path, None, rule, f"did you mean {near}?" if near else "")


def _called(kind: str, obj: Mapping[str, Any]) -> str:
    meta = obj["metadata"]
    return f"{kind} {meta.get('namespace') or 'default'}/{meta['name']}"


def _instance(check: _Check, spec: Any, at: str) -> Findings:
    if not isinstance(spec, Mapping):
        yield check.wrong(at, spec, "must be an object with at least `domain`")
        return
    domains = list(check.mappings(spec, at, "domain", required=True))
    if not domains:
        return
    (domain,) = domains
    devices = next(iter(check.mappings(domain, f"{at}.domain", "devices")), {})
    interfaces = check.listed(devices, f"{at}.domain.devices", "interfaces")
    networks = check.listed(spec, at, "networks")
    disks = check.listed(devices, f"{at}.domain.devices", "disks")
    volumes = check.listed(spec, at, "volumes")
    yield from check.networks(networks, f"{at}.networks")
    yield from check.interfaces(interfaces, f"{at}.domain.devices.interfaces")
    yield from check.pairs(interfaces, networks, at)
    yield from check.volumes(volumes, f"{at}.volumes")
    yield from check.disks(disks, volumes, f"{at}.domain.devices.disks")
    yield from check.memory(domain, f"{at}.domain")
    yield from check.numbers(spec, domain, at)


class _Check:
    """The rules. `broken` collects fields of a wrong type as they are met."""

    def __init__(self, called: str) -> None:
        self.called = called
        self.broken: list[InvalidInput] = []

    def wrong(self, field: str, value: object, rule: str, hint: str = "") -> InvalidInput:
        return InvalidInput(self.called, field, value, rule, hint=hint)

    def mappings(
        self, parent: Spec, at: str, key: str, *, required: bool = False
    ) -> list[Mapping[str, Any]]:
        """parent[key] in a list, empty if it is absent or no object (which is noted)."""
        value = parent.get(key)
        if isinstance(value, Mapping):
            return [value]
        if value is not None or required:
            rule = "must be an object" if value is not None else "is required"
            self.broken.append(self.wrong(f"{at}.{key}", value, rule))
        return []

    def listed(self, parent: Spec, at: str, key: str) -> list[Mapping[str, Any]]:
        """The objects of parent[key] that have a name; others are noted."""
        value = parent.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            self.broken.append(self.wrong(f"{at}.{key}", value, "must be a list"))
            return []
        good = []
        for index, item in enumerate(value):
            if isinstance(item, Mapping) and isinstance(item.get("name"), str) and item["name"]:
                good.append(item)
            else:
                self.broken.append(
                    self.wrong(f"{at}.{key}[{index}]", item, "must be an object with a `name`")
                )
        return good

    def strategy(self, spec: Spec) -> Findings:
        strategy, running = spec.get("runStrategy"), spec.get("running")
        if strategy is not None and strategy not in STRATEGIES:
            hint = _meant([str(strategy)], STRATEGIES)
            rule = f"must be one of {_or(STRATEGIES)}"
            yield self.wrong("spec.runStrategy", strategy, rule, hint)
        if running is not None and not isinstance(running, bool):
            yield self.wrong("spec.running", running, "must be true or false")
        if strategy is not None and running is not None:
            yield self.wrong(
                "spec.running", running, "excludes spec.runStrategy", "remove one of the two"
            )
        if strategy is None and running is None:
            yield self.wrong(
                "spec.runStrategy", None, "is required", f"say one of {_or(STRATEGIES)}"
            )

    def networks(self, networks: list[Mapping[str, Any]], at: str) -> Findings:
        yield from self._unique(networks, at, "network", schema.INTERFACE)
        pods = [network["name"] for network in networks if "pod" in network]
        if len(pods) > 1:
            yield self.wrong(at, pods, "only one network can be the pod's own")
        for network in networks:
            where = f"{at}[{network['name']}]"
            sources = [key for key in ("pod", "multus") if key in network]
            if len(sources) != 1:
                has = "both" if sources else "neither"
                yield self.wrong(
                    where, None, f"must have exactly one of pod and multus; it has {has}"
                )
            elif sources == ["multus"]:
                yield from self._multus(network["multus"], f"{where}.multus")
            else:
                for field, value, rule in schema.pod_network(network["pod"]):
                    yield self.wrong(f"{where}.pod{field}", value, rule)

    def _multus(self, multus: Any, at: str) -> Findings:
        if not isinstance(multus, Mapping):
            yield self.wrong(at, multus, "must be an object with a `networkName`")
            return
        name = multus.get("networkName")
        parts = str(name).split("/")
        if not name or len(parts) > 2 or not all(LABEL.fullmatch(part) for part in parts):
            yield self.wrong(
                f"{at}.networkName",
                name,
                ("" if name else "is missing; it ")
                + "must be the name of a NetworkAttachmentDefinition, or <namespace>/<name>",
            )
        elif multus.get("default"):
            yield self.wrong(
                f"{at}.default", True, "replacing the pod's own network is not available in the lab"
            )

    def interfaces(self, interfaces: list[Mapping[str, Any]], at: str) -> Findings:
        yield from self._unique(interfaces, at, "interface", schema.INTERFACE)
        seen: dict[str, str] = {}
        for interface in interfaces:
            name = interface["name"]
            where = f"{at}[{name}]"
            found = [key for key in KNOWN_BINDINGS if key in interface]
            plugin = machine.binding(interface)
            unknown = f"is not a binding of the lab; it must be one of {_or(BINDINGS)}"
            if len(found) > 1:
                yield self.wrong(where, found, "must have one binding only")
            elif found and found[0] not in BINDINGS:
                yield self.wrong(f"{where}.{found[0]}", None, unknown)
            elif not found and plugin:
                yield self.wrong(f"{where}.binding.name", plugin, unknown)
            elif not found:
                rule = f"has no binding; it must have one of {_or(BINDINGS)}"
                hint = _meant(interface, BINDINGS) or "add bridge: {}"
                yield self.wrong(where, None, rule, hint)
            model = interface.get("model")
            if model is not None and model not in MODELS:
                yield self.wrong(f"{where}.model", model, f"must be one of {_or(MODELS)}")
            yield from self._mac(interface.get("macAddress"), f"{where}.macAddress", name, seen)
            yield from self._ports(interface, where)
            for value, rule in schema.state(interface):
                yield self.wrong(f"{where}.state", value, rule)

    def _mac(self, value: Any, at: str, name: str, seen: dict[str, str]) -> Findings:
        if value is None or value == "":
            return
        if not MAC.fullmatch(str(value)):
            yield self.wrong(
                at, value, "must be six pairs of hexadecimal digits, such as 02:00:00:00:00:01"
            )
            return
        mac = str(value).lower().replace("-", ":")
        if int(mac[:2], 16) & 1 or mac == "00:00:00:00:00:00":
            yield self.wrong(at, value, "must be a unicast address: its first byte even, not all 0")
        elif mac in seen:
            yield self.wrong(at, value, f"is the address of interface {seen[mac]} already")
        seen.setdefault(mac, name)

    def _ports(self, interface: Spec, at: str) -> Findings:
        for field, value, rule in schema.ports(interface.get("ports")):
            yield self.wrong(f"{at}.ports{field}", value, rule)

    def pairs(
        self, interfaces: list[Mapping[str, Any]], networks: list[Mapping[str, Any]], at: str
    ) -> Findings:
        """An interface and a network belong together by name."""
        by_name = {network["name"]: network for network in networks}
        named = {interface["name"] for interface in interfaces}
        for interface in interfaces:
            name = interface["name"]
            where = f"{at}.domain.devices.interfaces[{name}]"
            if name not in by_name:
                yield self.wrong(
                    where, None, "has no network of its name", f"add one to {at}.networks"
                )
            elif "masquerade" in interface and "multus" in by_name[name]:
                yield self.wrong(
                    f"{where}.masquerade",
                    None,
                    "is only for the pod's own network",
                    "use bridge: {} on a secondary network",
                )
        for name in by_name:
            if name not in named:
                yield self.wrong(
                    f"{at}.networks[{name}]",
                    None,
                    "has no interface of its name",
                    f"add one to {at}.domain.devices.interfaces",
                )

    def volumes(self, volumes: list[Mapping[str, Any]], at: str) -> Findings:
        yield from self._unique(volumes, at, "volume", schema.LABEL)
        for volume in volumes:
            sources = [key for key in volume if key != "name"]
            where = f"{at}[{volume['name']}]"
            if len(sources) != 1:
                kinds = f"must have exactly one source, such as {_or(SOURCES)}"
                yield self.wrong(where, sources or None, kinds)
            elif sources[0] not in KNOWN_SOURCES:
                hint = _meant(sources, KNOWN_SOURCES) or f"use one of {_or(SOURCES)}"
                yield self.wrong(f"{where}.{sources[0]}", None, "is not a kind of volume", hint)
            elif not isinstance(volume[sources[0]], Mapping):
                yield self.wrong(f"{where}.{sources[0]}", volume[sources[0]], "must be an object")
            else:
                yield from self._source(sources[0], volume[sources[0]], f"{where}.{sources[0]}")

    def _source(self, kind: str, source: Spec, at: str) -> Findings:
        if kind == "hostDisk" and not disks.is_plain(source.get("path")):
            rule = "must be an absolute path, without . and .."
            yield self.wrong(f"{at}.path", source.get("path"), rule)
        if kind == "containerDisk":
            yield from self._text(source.get("image"), f"{at}.image", schema.IMAGE)
        if kind == "emptyDisk":
            yield from self._quantity(source.get("capacity"), f"{at}.capacity")
        if kind in ("cloudInitNoCloud", "cloudInitConfigDrive"):
            for text in ("userData", "networkData"):
                given = [key for key in (text, f"{text}Base64") if source.get(key)]
                if len(given) > 1:
                    hint = "remove one of the two"
                    yield self.wrong(f"{at}.{given[1]}", None, f"excludes {given[0]}", hint)
                yield from self._base64(source.get(f"{text}Base64"), f"{at}.{text}Base64")

    def _base64(self, value: Any, at: str) -> Findings:
        try:
            base64.b64decode(str(value or ""), validate=True).decode()
        except ValueError:
            hint = "make it with base64 -w0, or write the text itself without Base64"
            yield self.wrong(at, value, "must be the base64 of a text", hint)

    def disks(
        self, listed: list[Mapping[str, Any]], volumes: list[Mapping[str, Any]], at: str
    ) -> Findings:
        yield from self._unique(listed, at, "disk", schema.LABEL)
        names = {volume["name"] for volume in volumes}
        for disk in listed:
            if disk.get("serial"):
                yield from self._text(disk["serial"], f"{at}[{disk['name']}].serial", schema.SERIAL)
            if disk["name"] not in names:
                where, hint = f"{at}[{disk['name']}]", "add one to volumes, or remove the disk"
                yield self.wrong(where, None, "has no volume of its name", hint)
            kinds = [kind for kind in DISK_KINDS if kind in disk]
            if len(kinds) > 1:
                yield self.wrong(
                    f"{at}[{disk['name']}]", kinds, f"must be one of {_or(DISK_KINDS)}"
                )

    def memory(self, domain: Spec, at: str) -> Findings:
        resources = next(iter(self.mappings(domain, at, "resources")), {})
        for group in ("requests", "limits"):
            for section in self.mappings(resources, f"{at}.resources", group):
                if "memory" in section:
                    field = f"{at}.resources.{group}.memory"
                    yield from self._quantity(section["memory"], field)
        for section in self.mappings(domain, at, "memory"):
            if section.get("guest") is not None:
                yield from self._quantity(section["guest"], f"{at}.memory.guest")

    def _quantity(self, value: Any, at: str) -> Findings:
        if _is_amount(value):
            return
        text = str(value)
        hint = f"write {text[:-1]}" if text.endswith("B") and _is_amount(text[:-1]) else ""
        yield self.wrong(at, value, "must be an amount of bytes above 0, such as 512Mi or 1G", hint)

    def numbers(self, spec: Spec, domain: Spec, at: str) -> Findings:
        grace = spec.get("terminationGracePeriodSeconds")
        if grace is not None and (not isinstance(grace, int) or grace < 0):
            yield self.wrong(
                f"{at}.terminationGracePeriodSeconds", grace, "must be a whole number from 0"
            )
        for cpu in self.mappings(domain, f"{at}.domain", "cpu"):
            for key in ("cores", "sockets", "threads"):
                count = cpu.get(key)
                if count is not None and (not isinstance(count, int) or count < 1):
                    yield self.wrong(
                        f"{at}.domain.cpu.{key}", count, "must be a whole number from 1"
                    )
        hostname = spec.get("hostname")
        if hostname is not None:
            yield from self._text(hostname, f"{at}.hostname", schema.LABEL)

    def _text(self, value: Any, at: str, rule: schema.Rule) -> Findings:
        if not schema.fits(value, rule):
            yield self.wrong(at, value, rule[1])

    def _unique(
        self, items: list[Mapping[str, Any]], at: str, what: str, rule: schema.Rule
    ) -> Findings:
        seen = set()
        for place, item in enumerate(items):
            yield from self._text(item["name"], f"{at}[{place}].name", rule)
            if item["name"] in seen:
                where = f"{at}[{item['name']}]"
                yield self.wrong(where, None, f"names a second {what}", "rename one of the two")
            seen.add(item["name"])


def _is_amount(value: object) -> bool:
    try:
        return quantity.parse(value) > 0
    except ValueError:
        return False


def _meant(given: Iterable[str], known: Iterable[str]) -> str:
    """A hint with the known word that resembles this one; empty if none does."""
    by_fold = {word.lower(): word for word in known}
    for word in given:
        near = difflib.get_close_matches(word.lower(), by_fold, 1, 0.75)
        if near and word not in by_fold.values():
            return f"did you mean {by_fold[near[0]]}?"
    return ""


def _or(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"
