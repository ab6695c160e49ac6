"""Parses one CNI call, and checks it against the CNI specification (version 1.1.0).

Pure. A mistake raises `Refused` with the specification's error code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import orjson

from weft import errors, names
from weft.model import ObjectKey
from weft.nic import plan, result

COMMANDS = ("ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION")
# The first version of the specification that has each command.
_SINCE = {"CHECK": "0.4.0", "GC": "1.1.0", "STATUS": "1.1.0"}
_NEEDS = {
    "ADD": ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"),
    "DEL": ("CNI_CONTAINERID", "CNI_IFNAME"),
    "CHECK": ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"),
}
_CONTAINER_ID = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.\-]*")
ATTACHMENTS = "cni.dev/valid-attachments"
_SPECIFICATION = "Container Network Interface specification, version 1.1.0"


class Code(IntEnum):
    """Error codes of the CNI specification, section 5 ("Error"); from 100 on weft's own."""

    VERSION = 1
    UNSUPPORTED_FIELD = 2
    CONTAINER = 3
    ENVIRONMENT = 4
    IO = 5
    DECODING = 6
    CONFIGURATION = 7
    TRY_LATER = 11
    UNAVAILABLE = 50
    CHANGED = 100
    INTERNAL = 999


class Refused(errors.WeftError):
    """A call that ends with one of the specification's own error codes."""

    def __init__(self, code: Code, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what, where=where, hint=hint or _SPECIFICATION)
        self.code = code


@dataclass(frozen=True, slots=True)
class Call:
    """A valid call; `config` is the decoded network configuration with `prevResult`.

    `sandbox` is CNI_CONTAINERID, `netns` CNI_NETNS (a path), `interface` CNI_IFNAME.
    """

    command: str
    version: str
    config: Mapping[str, Any]
    sandbox: str = ""
    netns: str = ""
    interface: str = ""
    args: Mapping[str, str] = field(default_factory=dict)

    @property
    def network(self) -> str:
        """The network's name, from the configuration.

        The runtime's configuration names the default network differently from pods and nodes.
        """
        name = str(self.config["name"])
        return names.DEFAULT_NETWORK if name == names.DEFAULT_CNI_NAME else name

    @property
    def nad(self) -> ObjectKey | None:
        """The NAD with this configuration.

        None for the default network, which has no NAD. Raises Refused if it is missing.
        """
        if self.network == names.DEFAULT_NETWORK:
            return None
        key = self.config.get("netAttachDefName")
        if not isinstance(key, str) or key.count("/") != 1:
            name = "" if key is None else f" {errors.as_written(key)}"
            raise Refused(
                Code.CONFIGURATION,
                f"netAttachDefName{name}: must be <namespace>/<name> of the NAD itself",
                where=f"network {self.network}",
                hint="add it to spec.config of the NetworkAttachmentDefinition",
            )
        return ObjectKey.parse(key)

    @property
    def pod(self) -> ObjectKey:
        """The pod, from CNI_ARGS; raises Refused if it is missing."""
        namespace, name = self.args.get("K8S_POD_NAMESPACE"), self.args.get("K8S_POD_NAME")
        if not namespace or not name:
            raise Refused(
                Code.ENVIRONMENT,
                "CNI_ARGS: has no K8S_POD_NAMESPACE or no K8S_POD_NAME",
                hint="weft serves pods of Kubernetes; their runtime passes both",
            )
        return ObjectKey(namespace, name)

    @property
    def uid(self) -> str:
        """The pod's uid; empty if the runtime does not pass it."""
        return self.args.get("K8S_POD_UID", "")

    @property
    def previous(self) -> Mapping[str, Any] | None:
        value = self.config.get("prevResult")
        return value if isinstance(value, Mapping) else None

    @property
    def valid_attachments(self) -> list[tuple[str, str]]:
        """(container, interface) pairs that a GC must leave alone."""
        listed = self.config.get(ATTACHMENTS)
        if not isinstance(listed, list) or not all(isinstance(a, Mapping) for a in listed):
            raise Refused(
                Code.CONFIGURATION,
                f"{ATTACHMENTS}: must be a list of objects with containerID and ifname",
                where=f"network {self.network}",
            )
        return [(str(a.get("containerID", "")), str(a.get("ifname", ""))) for a in listed]


def requested_version(config: bytes) -> str:
    """Returns the version to answer in, even if the rest of the configuration is invalid."""
    try:
        version = orjson.loads(config)["cniVersion"]
    except (ValueError, KeyError, TypeError):
        return result.LATEST
    return version if version in result.VERSIONS else result.LATEST


def parse(env: Mapping[str, str], config: bytes) -> Call:
    """Parses the environment and standard input of the plugin; raises Refused."""
    command = env.get("CNI_COMMAND", "")
    if command not in COMMANDS:
        rule = f"CNI_COMMAND {command!r}: must be one of {', '.join(COMMANDS)}"
        raise Refused(Code.ENVIRONMENT, rule)
    settings = _decode(config)
    if command == "VERSION":
        return Call(command, str(settings.get("cniVersion", result.LATEST)), settings)
    version = _check_version(command, settings)
    _check_config(settings)
    _check_env(command, env)
    return Call(
        command=command,
        version=version,
        config=settings,
        sandbox=env.get("CNI_CONTAINERID", ""),
        netns=env.get("CNI_NETNS", ""),
        interface=env.get("CNI_IFNAME", ""),
        args=parse_args(env.get("CNI_ARGS", "")),
    )


def _decode(config: bytes) -> dict[str, Any]:
    try:
        settings = orjson.loads(config)
    except ValueError as error:
        where = "standard input"
        raise Refused(
            Code.DECODING, f"the configuration is not JSON: {error}", where=where
        ) from None
    if not isinstance(settings, dict):
        raise Refused(
            Code.DECODING, "the configuration is not a JSON object", where="standard input"
        )
    return settings


def _check_version(command: str, settings: Mapping[str, Any]) -> str:
    version = settings.get("cniVersion", "")
    if version not in result.VERSIONS:
        known = ", ".join(result.VERSIONS)
        raise Refused(
            Code.VERSION,
            f"cniVersion {version!r}: is not among the supported {known}",
            hint="set cniVersion in spec.config of the NetworkAttachmentDefinition",
        )
    since = _SINCE.get(command)
    if since and result.VERSIONS.index(version) < result.VERSIONS.index(since):
        raise Refused(Code.VERSION, f"cniVersion {version!r}: has no {command}; {since} has")
    return str(version)


def _check_config(settings: Mapping[str, Any]) -> None:
    name, kind = settings.get("name"), settings.get("type")
    if not isinstance(name, str) or not name:
        raise Refused(Code.CONFIGURATION, f"name {name!r}: must be the network's name, as text")
    if kind not in (names.CNI_TYPE, "weft-cni"):
        raise Refused(
            Code.CONFIGURATION,
            f"type {kind!r}: this plugin serves {names.CNI_TYPE}",
            where=f"network {name}",
        )
    previous = settings.get("prevResult")
    if previous is not None and not isinstance(previous, dict):
        rule = "prevResult: must be the object that the ADD gave"
        raise Refused(Code.CONFIGURATION, rule, where=f"network {name}")


def _check_env(command: str, env: Mapping[str, str]) -> None:
    for variable in _NEEDS.get(command, ()):
        if not env.get(variable):
            raise Refused(Code.ENVIRONMENT, f"{variable}: must be set for {command}")
    if command in _NEEDS:
        container = env["CNI_CONTAINERID"]
        if not _CONTAINER_ID.fullmatch(container):
            rule = "must begin with a letter or digit; then letters, digits, _ . and - may follow"
            raise Refused(Code.ENVIRONMENT, f"CNI_CONTAINERID {container!r}: {rule}")
        try:
            plan.check_name(env["CNI_IFNAME"])
        except errors.InvalidInput as error:
            raise Refused(Code.ENVIRONMENT, error.what) from None


def parse_args(text: str) -> dict[str, str]:
    """Parses CNI_ARGS: `KEY=VALUE` pairs joined by semicolons."""
    found = {}
    for pair in text.split(";"):
        if not pair:
            continue
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise Refused(Code.ENVIRONMENT, f"CNI_ARGS: {pair!r} is not KEY=VALUE")
        found[key] = value
    return found


def code_of(error: errors.WeftError) -> Code:
    """Returns the specification's code for an error of weft."""
    if isinstance(error, Refused):
        return error.code
    if isinstance(error, errors.InvalidInput):
        return Code.CONFIGURATION
    return Code.TRY_LATER if error.retry else Code.INTERNAL
