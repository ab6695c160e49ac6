"""The files of a pod's resolver."""

from __future__ import annotations

from typing import Any

import pytest

from weft import errors
from weft_lab.kubelet import resolver


def conf(**config: Any) -> str:
    return resolver.resolv_conf({"spec": {"dnsPolicy": "None", "dnsConfig": config}})


def hosts(*aliases: dict[str, Any]) -> list[str]:
    return resolver.hosts({"spec": {"hostAliases": [*aliases]}}, "web", "10.1.0.2").splitlines()


def test_what_a_pod_says_of_its_dns() -> None:
    assert conf(
        nameservers=["10.1.1.1", "fd00::53"],
        searches=["shop.example", "."],
        options=[{"name": "ndots", "value": "2"}, {"name": "edns0"}],
    ) == (
        "search shop.example .\nnameserver 10.1.1.1\nnameserver fd00::53\noptions ndots:2 edns0\n"
    )
    assert resolver.resolv_conf({"spec": {"dnsPolicy": "ClusterFirst"}}) == ""


def test_names_that_a_pod_gives_to_others() -> None:
    told = hosts({"ip": "10.9.0.1", "hostnames": ["db", "db.example"]})
    assert told == [
        *("127.0.0.1\tlocalhost", "::1\tlocalhost", "10.1.0.2\tweb"),
        "10.9.0.1\tdb\tdb.example",
    ]


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"nameservers": ["dns.example"]}, "spec.dnsConfig.nameservers[0]"),
        ({"nameservers": ["10.1.1.1\nsearch evil"]}, "spec.dnsConfig.nameservers[0]"),
        ({"nameservers": ["10.1.1.1"] * 4}, "spec.dnsConfig.nameservers"),
        ({"searches": ["a", "b c"]}, "spec.dnsConfig.searches[1]"),
        ({"searches": ["a" * 100] * 30}, "spec.dnsConfig.searches"),
        ({"options": [{"name": "ndots", "value": "2\nnameserver 10.1.1.1"}]}, "options[0]"),
        ({"options": [{}]}, "options[0]"),
    ],
)
def test_what_no_resolver_could_read_is_refused(config: dict[str, Any], field: str) -> None:
    with pytest.raises(errors.InvalidInput) as refused:
        conf(**config)
    assert refused.value.field.endswith(field)


@pytest.mark.parametrize("alias", [{"ip": "x"}, {"ip": "10.0.0.1", "hostnames": ["a\n::1 b"]}])
def test_aliases_that_are_no_lines_of_hosts_are_refused(alias: dict[str, Any]) -> None:
    with pytest.raises(errors.InvalidInput):
        hosts(alias)
