"""A NAD as the chain of plugins that it describes."""

import json
from ipaddress import ip_interface
from typing import Any

import orjson
import pytest

from weft import errors, model
from weft_lab.multus import delegate

ATTACHMENT = model.Attachment(
    model.ObjectKey("ns", "blue"),
    "ns/blue",
    "net1",
    mac="0a:00:00:00:00:01",
    addresses=(ip_interface("10.1.0.5/24"),),
)


def nad(config: Any) -> dict[str, Any]:
    text = config if isinstance(config, str) else json.dumps(config)
    return {"metadata": {"name": "blue", "namespace": "ns"}, "spec": {"config": text}}


def test_single() -> None:
    config = {"cniVersion": "1.0.0", "name": "blue", "type": "x", "netAttachDefName": "ns/blue"}
    made = delegate.from_nad(nad(config), ATTACHMENT)
    assert (made.network, made.version, made.interface) == ("blue", "1.0.0", "net1")
    assert json.loads(delegate.render(made, made.plugins[0])) == config


def test_list_and_result_in_between() -> None:
    config = {"cniVersion": "1.0.0", "name": "blue", "plugins": [{"type": "a"}, {"type": "b"}]}
    made = delegate.from_nad(nad(config), ATTACHMENT)
    second = json.loads(delegate.render(made, made.plugins[1], {"ips": []}))
    assert second == {"type": "b", "name": "blue", "cniVersion": "1.0.0", "prevResult": {"ips": []}}


def test_requests_go_to_plugins_that_grant_them() -> None:
    able = {"name": "b", "type": "x", "capabilities": {"mac": True, "ips": True}}
    made = delegate.from_nad(nad(able), ATTACHMENT)
    runtime = {"mac": "0a:00:00:00:00:01", "ips": ["10.1.0.5/24"]}
    assert made.plugins == ({"name": "b", "type": "x", "runtimeConfig": runtime},)


@pytest.mark.parametrize(
    "config",
    [
        *("", "{", "[]", {"type": "x"}, {"name": 1, "type": "x"}, {"name": "x", "plugins": []}),
        *({"name": "x"}, {"name": "x", "type": ""}, {"name": "x", "plugins": [{"type": "../y"}]}),
    ],
)
def test_unusable(config: Any) -> None:
    with pytest.raises(errors.InvalidInput, match="ns/blue"):
        delegate.from_nad(nad(config), ATTACHMENT)


def test_what_was_made_is_remembered() -> None:
    made = delegate.from_nad(nad({"name": "b", "type": "x"}), ATTACHMENT)
    record = json.loads(json.dumps(delegate.to_record(made, {"ips": []})))
    assert delegate.from_record(record) == (made, {"ips": []})


def test_the_clusters_own_network_needs_no_nad() -> None:
    chain = delegate.cluster_network()
    assert (chain.name, chain.interface) == ("ovn-kubernetes", "eth0")
    assert orjson.loads(delegate.render(chain, chain.plugins[0])) == {
        "cniVersion": "1.1.0",
        "name": "ovn-kubernetes",
        "type": "ovn-k8s-cni-overlay",
    }
