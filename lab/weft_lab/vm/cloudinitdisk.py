"""Makes the disk by which a virtual machine gets its cloud-init data (NoCloud, label cidata).

Volumes of a VirtualMachineInstance in, the disk image's bytes out. The standard files serve any
image with cloud-init; `guestplan` adds what the built-in guest reads.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from weft_lab.vm import cloudinit, guestplan, iso9660, machine, networkdata

Found = TypeVar("Found")
LABEL = "cidata"
SOURCES = ("cloudInitNoCloud", "cloudInitConfigDrive")


@dataclass(frozen=True, slots=True)
class Data:
    """User data and network data of a cloud-init volume, decoded; empty where it has none."""

    user: str = ""
    network: str = ""


def data(spec: Mapping[str, Any]) -> Data:
    """The first cloud-init volume's data. Raises Unreadable for base64 that is none."""
    for volume in spec.get("volumes") or ():
        for source in SOURCES:
            if source in volume:
                entry = volume[source] or {}
                return Data(_text(entry, "userData"), _text(entry, "networkData"))
    return Data()


def image(vm: machine.Machine, spec: Mapping[str, Any], macs: Sequence[str]) -> bytes:
    """The seed disk; `macs` are the guest's cards in order. Raises Unreadable."""
    return iso9660.image(LABEL, files(vm, data(spec), macs))


def files(vm: machine.Machine, found: Data, macs: Sequence[str]) -> dict[str, bytes]:
    """The seed's files by name."""
    config = _readable(
        lambda: cloudinit.parse(found.user, cloudinit.default_user(vm.image)),
        cloudinit.CloudConfig(),
    )
    if not config.hostname:
        config = cloudinit.with_hostname(config, vm.hostname)
    network = _readable(lambda: networkdata.parse(found.network), networkdata.NetworkData())
    meta = {
        "instance-id": f"{vm.name}.{vm.namespace}",  # KubeVirt's: also after a restart
        "local-hostname": vm.hostname,
    }
    standard = {
        "meta-data": json.dumps(meta).encode() + b"\n",
        "user-data": found.user.encode() or b"#cloud-config\n{}\n",
    }
    if found.network:
        standard["network-config"] = found.network.encode()
    return {**standard, **guestplan.write(config, network.ethernets, macs)}


def _readable(read: Callable[[], Found], otherwise: Found) -> Found:
    """Without data that cannot be read a guest boots, as with cloud-init; an Event says so."""
    try:
        return read()
    except cloudinit.Unreadable:
        return otherwise


def _text(entry: Mapping[str, Any], key: str) -> str:
    encoded = entry.get(f"{key}Base64")
    if not encoded:
        return str(entry.get(key) or "")
    try:
        return base64.b64decode(str(encoded), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise cloudinit.Unreadable(f"{key}Base64 is not base64 of text: {error}") from error
