"""Makes a pod's resolv.conf and hosts of its dnsConfig and hostAliases. Pure.

The lab has no DNS: resolv.conf has the servers that the pod names, whatever its dnsPolicy.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from weft import errors

Object = Mapping[str, Any]
SERVERS, SEARCHES, LONGEST = 3, 32, 2048  # as the API server has it
_WORD = re.compile(r"[!-~]+")


def resolv_conf(pod: Object) -> str:
    """The text of resolv.conf. Raise InvalidInput for a dnsConfig that no resolver can read."""
    config = pod["spec"].get("dnsConfig") or {}
    servers = [
        _address(f"dnsConfig.nameservers[{place}]", one)
        for place, one in enumerate(config.get("nameservers") or ())
    ]
    _bounded("dnsConfig.nameservers", servers, SERVERS)
    searches = list(_words("dnsConfig.searches", config.get("searches") or ()))
    _bounded("dnsConfig.searches", searches, SEARCHES)
    options = list(_words("dnsConfig.options", map(_option, config.get("options") or ())))
    lines = [f"search {' '.join(searches)}"] if searches else []
    lines += [f"nameserver {one}" for one in servers]
    lines += [f"options {' '.join(options)}"] if options else []
    return "".join(f"{line}\n" for line in lines)


def hosts(pod: Object, name: str, address: str) -> str:
    """The text of hosts: the pod's name and its hostAliases. Raise InvalidInput for a bad alias."""
    lines = ["127.0.0.1\tlocalhost", "::1\tlocalhost", f"{address}\t{name}"]
    for place, alias in enumerate(pod["spec"].get("hostAliases") or ()):
        where = f"hostAliases[{place}]"
        known = _words(f"{where}.hostnames", alias.get("hostnames") or ())
        lines.append("\t".join((_address(f"{where}.ip", alias.get("ip")), *known)))
    return "".join(f"{line}\n" for line in lines)


def _option(option: Object) -> str:
    name, value = option.get("name") or "", option.get("value")
    return str(name) if value in (None, "") else f"{name}:{value}"


def _words(field: str, listed: Any) -> Iterator[str]:
    for place, one in enumerate(listed):
        if not _WORD.fullmatch(str(one)):
            rule = "must be one word"
            raise errors.InvalidInput("pod", f"spec.{field}[{place}]", one, rule)
        yield str(one)


def _address(field: str, value: Any) -> str:
    try:
        return str(ipaddress.ip_address(str(value)))
    except ValueError as error:
        rule = "must be an IP address"
        raise errors.InvalidInput("pod", f"spec.{field}", value, rule) from error


def _bounded(field: str, listed: Sequence[str], most: int) -> None:
    if len(listed) > most or sum(map(len, listed)) > LONGEST:
        rule = f"can be {most}, of {LONGEST} characters together"
        raise errors.InvalidInput("pod", f"spec.{field}", len(listed), rule)
