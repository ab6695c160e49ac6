"""Makes the script that applies cloud-init data in the built-in guest, of its few verbs.

The guest has no Python and no YAML: the data are read out here, and its seed disk carries, beside
the standard files, `weft-boot` and the files it names. The verbs are defined in guest/verbs.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from weft_lab.vm import cloudinit, networkdata

BOOT = "weft-boot"
FIRST_UID = 1000


def write(
    config: cloudinit.CloudConfig, ethernets: Sequence[networkdata.Ethernet], macs: Sequence[str]
) -> dict[str, bytes]:
    """The files that the built-in guest reads, by name; `macs` in the order of the cards."""
    files: dict[str, bytes] = {}
    early = _hostname(config) + _commands(config.boot_commands, files)
    early += _users(config.users) + _places(config.files, files)
    network = []
    found, _lost = networkdata.assign(ethernets, macs)
    for index, ethernet in sorted(found.items()):
        network += _card(f"eth{index}", ethernet)
    late = _commands(config.run_commands, files)
    if config.script:
        late.append(["run", _store(files, config.script.encode())])
    script = "".join(
        _function(name, lines)
        for name, lines in (("early", early), ("network", network), ("late", late))
    )
    return {BOOT: script.encode(), **files}


def _function(name: str, lines: list[list[str]]) -> str:
    body = "".join(f"  {shlex.join(words)}\n" for words in [[":"], *lines])
    return f"{name}() {{\n{body}}}\n"


def _store(files: dict[str, bytes], content: bytes) -> str:
    name = f"weft-{len(files)}"
    files[name] = content
    return name


def _hostname(config: cloudinit.CloudConfig) -> list[list[str]]:
    return [["name", config.hostname]] if config.hostname else []


def _commands(commands: Sequence[cloudinit.Command], files: dict[str, bytes]) -> list[list[str]]:
    """One script for all, as cloud-init makes of them; a failing command stops none after it."""
    if not commands:
        return []
    lines = [command if isinstance(command, str) else shlex.join(command) for command in commands]
    return [["run", _store(files, "\n".join([*lines, ""]).encode())]]


def _users(users: Sequence[cloudinit.User]) -> list[list[str]]:
    lines = []
    for number, user in enumerate(users):
        if user.name != "root":
            lines.append(["user", user.name, str(FIRST_UID + number), user.home, user.shell])
        if user.hashed:
            lines.append(["secret", user.name, user.hashed])
        elif user.password:
            lines.append(["password", user.name, user.password])
    return lines


def _places(found: Sequence[cloudinit.File], files: dict[str, bytes]) -> list[list[str]]:
    return [
        ["place", _store(files, file.content), file.path, f"{file.mode:04o}", file.owner]
        + (["append"] if file.append else [])
        for file in found
    ]


def _card(name: str, ethernet: networkdata.Ethernet) -> list[list[str]]:
    """Addresses and routes stand beside what DHCP brings, whichever comes first."""
    lines = [["claim", name]]
    if ethernet.rename and ethernet.rename != name:
        lines.append(["rename", name, ethernet.rename])
        name = ethernet.rename
    if not ethernet.accept_ra:
        lines.append(["unrouted6", name])
    lines.append(["ip", "link", "set", name, "up"])
    if ethernet.mtu:
        lines.append(["ip", "link", "set", name, "mtu", str(ethernet.mtu)])
    lines += [["address", name, address] for address in ethernet.addresses]
    lines += [["route", name, *_way(route)] for route in ethernet.routes]
    lines += [["nameserver", server] for server in ethernet.nameservers]
    lines += [["search", domain] for domain in ethernet.search]
    if ethernet.dhcp4:
        lines.append(["dhcp4", name])
    if ethernet.accept_ra and not ethernet.dhcp6:
        lines.append(["routed6", name])
    if ethernet.dhcp6:
        lines.append(["dhcp6", name])
    return lines


def _way(route: networkdata.Route) -> list[str]:
    """The arguments of `ip route` for a route."""
    words = [route.to, "via", route.via]
    if route.metric:
        words += ["metric", str(route.metric)]
    return [*words, "onlink"] if route.on_link else words
