"""Composes what a plugin reads on its standard input, as Multus and libcni do.

Pure: makes the configurations of one NAD, and gives each plugin the result of the one before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from weft import errors, model, names
from weft.api import fields

Config = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Delegate:
    """One attachment as a runtime handles it: a chain of plugins for one interface.

    `name` is what events and network-status call it: "<namespace>/<NAD>".
    """

    name: str
    network: str
    version: str
    interface: str
    plugins: tuple[Config, ...]


def cluster_network() -> Delegate:
    """The chain for the default network where weft serves it, as its nodes' file says it."""
    version, name = "1.1.0", names.DEFAULT_CNI_NAME
    plugin = {"cniVersion": version, "name": name, "type": names.CNI_TYPE}
    return Delegate(name, name, version, names.DEFAULT_INTERFACE, (plugin,))


def from_nad(nad: Mapping[str, Any], attachment: model.Attachment) -> Delegate:
    """The chain that `nad` describes, with what this attachment asks for added."""
    where = f"NetworkAttachmentDefinition {attachment.nad}"
    text = (nad.get("spec") or {}).get("config") or ""
    if not text:
        rule = "is empty; this node has no configuration on disk to fall back to"
        raise errors.InvalidInput(where, "spec.config", None, rule)
    config = fields.decode(where, "spec.config", text)
    if not isinstance(config, dict):
        rule = f"must hold a JSON object, not {fields.kind_of(config)}"
        raise errors.InvalidInput(where, "spec.config", config, rule)
    listed = config.get("plugins", [config])
    if not isinstance(listed, list) or not listed or not all(isinstance(p, dict) for p in listed):
        rule = "must be a list of at least one object"
        raise errors.InvalidInput(where, "spec.config.plugins", None, rule)
    for plugin in listed:
        kind = plugin.get("type")
        if not isinstance(kind, str) or not kind or "/" in kind:
            field, rule = "spec.config.type", "must be the name of a CNI plugin"
            hint = f"weft's is {names.CNI_TYPE}"
            raise errors.InvalidInput(where, field, kind, rule, hint=hint)
    name = config.get("name")
    if not isinstance(name, str) or not name:
        raise errors.InvalidInput(where, "spec.config.name", name, "must be the network's name")
    version = str(config.get("cniVersion", ""))
    plugins = tuple(_with_runtime(plugin, attachment) for plugin in listed)
    return Delegate(str(attachment.nad), name, version, attachment.interface, plugins)


def _with_runtime(plugin: Config, attachment: model.Attachment) -> Config:
    """`runtimeConfig` has those of the requests for which the plugin declares a capability."""
    capabilities = plugin.get("capabilities")
    if not isinstance(capabilities, dict):
        return plugin
    requested: Config = {}
    if attachment.mac and capabilities.get("mac"):
        requested["mac"] = attachment.mac
    if attachment.addresses and capabilities.get("ips"):
        requested["ips"] = [str(address) for address in attachment.addresses]
    kept = {key: value for key, value in plugin.items() if key != "capabilities"}
    return {**kept, "runtimeConfig": requested} if requested else kept


def render(delegate: Delegate, plugin: Config, previous: Mapping[str, Any] | None = None) -> bytes:
    """Standard input for one plugin of the chain."""
    config = {**plugin, "name": delegate.network, "cniVersion": delegate.version}
    if previous is not None:
        config["prevResult"] = previous
    return orjson.dumps(config)


def to_record(delegate: Delegate, result: Mapping[str, Any]) -> dict[str, Any]:
    """What a DEL needs, as JSON; the NAD may be gone by then."""
    return {
        "name": delegate.name,
        "network": delegate.network,
        "version": delegate.version,
        "interface": delegate.interface,
        "plugins": list(delegate.plugins),
        "result": dict(result),
    }


def from_record(record: Mapping[str, Any]) -> tuple[Delegate, dict[str, Any]]:
    delegate = Delegate(
        name=record["name"],
        network=record["network"],
        version=record["version"],
        interface=record["interface"],
        plugins=tuple(record["plugins"]),
    )
    return delegate, record["result"]
