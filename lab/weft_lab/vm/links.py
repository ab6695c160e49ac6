"""Joins a guest to its pod's interface: bridge and tap in the pod's namespace.

It uses ioctls (netdevice(7), bridge and tun headers of the kernel), because loading a netlink
library takes longer than all of this.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv6Interface
from pathlib import Path

from weft import errors

SIOCGIFFLAGS, SIOCSIFFLAGS = 0x8913, 0x8914
SIOCGIFADDR, SIOCSIFADDR = 0x8915, 0x8916
SIOCGIFNETMASK, SIOCSIFNETMASK = 0x891B, 0x891C
SIOCGIFMTU, SIOCSIFMTU = 0x8921, 0x8922
SIOCSIFHWADDR, SIOCGIFHWADDR = 0x8924, 0x8927
SIOCBRADDBR, SIOCBRDELBR, SIOCBRADDIF = 0x89A0, 0x89A1, 0x89A2
SIOCGIFINDEX = 0x8933
TUNSETIFF, TUNSETPERSIST = 0x400454CA, 0x400454CB
IFF_UP, ARPHRD_ETHER = 0x1, 1
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
BRIDGE_MAC = "02:00:00:00:00:00"  # KubeVirt's, of the pod's end towards a guest behind it

Interface = IPv4Interface | IPv6Interface


@dataclass(frozen=True, slots=True)
class Taken:
    """MAC and MTU that the pod's interface had; the guest gets both."""

    mac: str
    mtu: int


def take_over(interface: str, bridge: str, tap: str, *, plugged: bool = True) -> Taken:
    """Join `interface` and a new `tap` by a new `bridge`; none of them keeps an address.

    The guest gets the interface's MAC, so the interface needs another. Not `plugged`: the interface
    stays down and outside of the bridge, so that nothing passes either way.
    """
    with _socket() as handle:
        taken = Taken(mac=_mac(handle, interface), mtu=_mtu(handle, interface))
        _add_bridge(handle, bridge, tap, taken.mtu, other_mac(taken.mac, step=2))
        for name in (interface, bridge):
            _forget_addresses(handle, name)
        _set_up(handle, interface, up=False)
        _set_mac(handle, interface, other_mac(taken.mac))
        for name in (interface, tap) if plugged else (tap,):
            _join(handle, bridge, name)
        _set_up(handle, bridge, up=True)
    return taken


def stand_before(
    bridge: str, tap: str, mtu: int, addresses: Sequence[Interface], *, plugged: bool = True
) -> None:
    """A new `bridge` that has `addresses`, and a new `tap` on it if that is `plugged`."""
    with _socket() as handle:
        _add_bridge(handle, bridge, tap, mtu, BRIDGE_MAC)
        if plugged:
            _join(handle, bridge, tap)
        # The pod ignores the guest's router advertisements; no neighbour can have its address.
        # Packets from the pod's loopback reach the guest too.
        for setting, value in (
            (f"ipv6/conf/{bridge}/accept_ra", "0"),
            (f"ipv6/conf/{bridge}/accept_dad", "0"),
            (f"ipv4/conf/{bridge}/route_localnet", "1"),
        ):
            with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
                Path(f"/proc/sys/net/{setting}").write_text(value)
        _set_up(handle, bridge, up=True)
        for address in addresses:
            _give(handle, bridge, address)


def join(bridge: str, interface: str) -> None:
    """Join a pod's interface to its guest's bridge; it may be there already."""
    with _socket() as handle, contextlib.suppress(errors.Unavailable):
        _join(handle, bridge, interface)
    with _socket() as handle:
        _set_up(handle, interface, up=True)


def rejoin(interface: str, bridge: str, *, plugged: bool = True) -> None:
    """Join another `interface` of the pod to a guest's bridge, in the place of one that is gone."""
    with _socket() as handle:
        _forget_addresses(handle, interface)
        _set_up(handle, interface, up=False)
        _set_mac(handle, interface, other_mac(_mac(handle, interface)))
        if plugged:
            _join(handle, bridge, interface)


def part(bridge: str, tap: str) -> None:
    """Remove a guest's bridge and tap; the pod's interface stays, apart from both."""
    with _socket() as handle, contextlib.suppress(errors.Unavailable):  # it is gone
        _set_up(handle, bridge, up=False)
        _call(handle, SIOCBRDELBR, bridge.encode().ljust(16, b"\0"), bridge)
    if is_listed(tap):
        _remove_tap(tap)


def index(interface: str) -> int:
    """The number by which the kernel knows an interface."""
    with _socket() as handle:
        return _index(handle, interface)


def mtu(interface: str) -> int:
    with _socket() as handle:
        return _mtu(handle, interface)


def addresses(interface: str) -> list[Interface]:
    """Its first IPv4 address, if any, and its global IPv6 addresses."""
    found: list[Interface] = []
    with _socket() as handle, contextlib.suppress(OSError):  # EADDRNOTAVAIL: it has none
        given, mask = (
            IPv4Address(fcntl.ioctl(handle.fileno(), number, _request(interface))[20:24])
            for number in (SIOCGIFADDR, SIOCGIFNETMASK)
        )
        found.append(IPv4Interface(f"{given}/{mask}"))
    with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
        for line in Path("/proc/net/if_inet6").read_text().splitlines():
            digits, _index, length, scope, _flags, name = line.split()
            if name == interface and int(scope, 16) == 0:
                found.append(IPv6Interface((bytes.fromhex(digits), int(length, 16))))
    return found


def _add_bridge(handle: socket.socket, bridge: str, tap: str, mtu: int, mac: str) -> None:
    """Both down and apart. The tap has no address; what the bridge has is for the caller to say."""
    _call(handle, SIOCBRADDBR, bridge.encode().ljust(16, b"\0"), bridge)
    _add_tap(tap)
    _forget_addresses(handle, tap)
    for name in (tap, bridge):
        _call(handle, SIOCSIFMTU, _request(name, struct.pack("<i", mtu)), name)
    _bridge_setting(bridge, "multicast_snooping", "0")
    _set_mac(handle, bridge, mac)


def _join(handle: socket.socket, bridge: str, port: str) -> None:
    request = _request(bridge, struct.pack("<i", _index(handle, port)))
    _call(handle, SIOCBRADDIF, request, port)
    _set_up(handle, port, up=True)


def _give(handle: socket.socket, name: str, address: Interface) -> None:
    if isinstance(address, IPv4Interface):
        for number, value in ((SIOCSIFADDR, address.ip), (SIOCSIFNETMASK, address.netmask)):
            packed = struct.pack("<HH4s", socket.AF_INET, 0, value.packed)
            _call(handle, number, _request(name, packed), name)
        return
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as handle6:
        length, index = address.network.prefixlen, _index(handle, name)
        _call(handle6, SIOCSIFADDR, struct.pack("<16sIi", address.ip.packed, length, index), name)


def other_mac(mac: str, step: int = 1) -> str:
    """A locally administered MAC that differs from `mac`."""
    first, *middle, last = (int(part, 16) for part in mac.split(":"))
    changed = [(first | 0x02) ^ (step << 4), *middle, last]
    return ":".join(f"{part:02x}" for part in changed)


def exists(interface: str) -> bool:
    return Path("/sys/class/net", interface).exists() or is_listed(interface)


def is_listed(interface: str) -> bool:
    """By the caller's own network namespace; /sys may show another one's."""
    return any(name == interface for _, name in socket.if_nameindex())


@contextlib.contextmanager
def _socket() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        yield handle


def _request(name: str, value: bytes = b"") -> bytes:
    """struct ifreq: a name and 24 bytes of union."""
    return name.encode().ljust(16, b"\0") + value.ljust(24, b"\0")


def _call(handle: socket.socket, number: int, argument: bytes, name: str) -> bytes:
    try:
        return fcntl.ioctl(handle.fileno(), number, argument)
    except OSError as error:
        raise errors.Unavailable(
            f"the pod's network interface cannot be set up ({error.strerror})",
            where=name,
            hint="the launcher must run in the pod's network namespace with CAP_NET_ADMIN",
        ) from error


def _mac(handle: socket.socket, name: str) -> str:
    answer = _call(handle, SIOCGIFHWADDR, _request(name), name)
    return answer[18:24].hex(":")


def _mtu(handle: socket.socket, name: str) -> int:
    (mtu,) = struct.unpack_from("<i", _call(handle, SIOCGIFMTU, _request(name), name), 16)
    return int(mtu)


def _index(handle: socket.socket, name: str) -> int:
    (index,) = struct.unpack_from("<i", _call(handle, SIOCGIFINDEX, _request(name), name), 16)
    return int(index)


def _set_mac(handle: socket.socket, name: str, mac: str) -> None:
    address = struct.pack("<H", ARPHRD_ETHER) + bytes.fromhex(mac.replace(":", ""))
    _call(handle, SIOCSIFHWADDR, _request(name, address), name)


def _set_up(handle: socket.socket, name: str, *, up: bool) -> None:
    (flags,) = struct.unpack_from("<h", _call(handle, SIOCGIFFLAGS, _request(name), name), 16)
    flags = flags | IFF_UP if up else flags & ~IFF_UP
    _call(handle, SIOCSIFFLAGS, _request(name, struct.pack("<h", flags)), name)


def _forget_addresses(handle: socket.socket, name: str) -> None:
    """IPv6 off takes its addresses away; 0.0.0.0 takes the IPv4 one, and each after it."""
    with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
        Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")
    nothing = struct.pack("<HH4s", socket.AF_INET, 0, bytes(4))
    with contextlib.suppress(OSError):  # EADDRNOTAVAIL: it had none
        fcntl.ioctl(handle.fileno(), SIOCSIFADDR, _request(name, nothing))


def _add_tap(name: str) -> None:
    """A tap that stays when nobody holds it: QEMU opens it by name."""
    try:
        device = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise errors.Unavailable(
            f"/dev/net/tun cannot be opened ({error.strerror})",
            where=name,
            hint="give your user access: chmod 0666 /dev/net/tun, as most distributions have it",
        ) from error
    try:
        flags = struct.pack("<H", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)
        fcntl.ioctl(device, TUNSETIFF, _request(name, flags))
        fcntl.ioctl(device, TUNSETPERSIST, 1)
    except OSError as error:
        raise errors.Unavailable(
            f"the tap device cannot be made ({error.strerror})", where=name
        ) from error
    finally:
        os.close(device)


def _remove_tap(name: str) -> None:
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    try:
        flags = struct.pack("<H", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)
        fcntl.ioctl(device, TUNSETIFF, _request(name, flags))
        fcntl.ioctl(device, TUNSETPERSIST, 0)
    finally:
        os.close(device)


def _bridge_setting(bridge: str, name: str, value: str) -> None:
    """Through sysfs, where it shows this namespace; elsewhere the default must do."""
    with contextlib.suppress(OSError):
        Path(f"/sys/class/net/{bridge}/bridge/{name}").write_text(value)
