"""What a pod's first process is told to start a container."""

from pathlib import Path
from typing import Any

from weft_lab.kubelet import containerconfig

PLACE = containerconfig.Environment(
    folder=Path("/pods"),
    logs=Path("/logs"),
    image=Path("/image"),
    plain={"PATH": "/few"},
    host_ip="192.0.2.1",
    host_name="node1",
)
IP = {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
IPS = {"name": "IPS", "valueFrom": {"fieldRef": {"fieldPath": "status.podIPs"}}}


def start_request(image: str, address: str = "10.1.0.2", **spec: Any) -> dict[str, Any]:
    container = {"name": "c", "image": image, "command": ["echo", "$(IP)"], "env": [IP, IPS]}
    pod = {"metadata": {"namespace": "shop", "name": "web"}, "spec": spec}
    return containerconfig.start(pod, container, (address, "fd00::2"), Path("/root"), PLACE)


def test_a_container_of_an_image() -> None:
    told = start_request("busybox")
    assert told["argv"] == ["echo", "10.1.0.2"]
    assert told["env"] == {"PATH": "/few", "IP": "10.1.0.2", "IPS": "10.1.0.2,fd00::2"}
    assert told["log"] == "/logs/shop_web_c.log"
    assert (told["binds"], told["root"]) == ([["/image/bin", "/bin", False]], "/root")
    assert told["etc"]["hostname"] == "web\n"
    assert told["etc"]["hosts"].endswith("10.1.0.2\tweb\n")


def test_names_of_pods() -> None:
    assert start_request("busybox", hostname="shop1")["etc"]["hostname"] == "shop1\n"
    told = start_request("busybox", "192.0.2.1", hostNetwork=True, hostname="shop1")
    assert told["etc"]["hosts"].endswith("192.0.2.1\tnode1\n")


def test_files_have_a_bound_unless_they_are_a_machines_disks() -> None:
    assert start_request("busybox")["longest_file"] == containerconfig.LONGEST_FILE
    assert start_request("lab.weft/virt-launcher")["longest_file"] == 0
