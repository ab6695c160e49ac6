from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.tests.unit.vm import manifests
from weft import names
from weft.decode import quantity
from weft_lab.vm import (
    guest,
    launcherpod,
    links,
    machine,
    qemu,
    specwarnings,
    status,
    validation,
)

IMAGE = guest.Guest(Path("/k"), Path("/i"))


@pytest.mark.parametrize(
    ("text", "size"),
    [("1024M", 1024 * 10**6), ("1Gi", 2**30), ("0.5Gi", 2**29), (64, 64), ("1e3", 1000), ("1m", 1)],
)
def test_quantities(text: Any, size: int) -> None:
    assert quantity.parse(text) == size


@pytest.mark.parametrize("text", ["", "1GB", "-1", "Gi", "1 Gi", None, True])
def test_what_is_no_quantity(text: Any) -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        quantity.parse(text)


def test_an_instance_becomes_a_machine() -> None:
    vm = machine.read(manifests.instance())
    first, second = vm.nics
    assert (first.binding, first.pod_interface, first.forwards) == (
        "masquerade",
        "eth0",
        (("tcp", 80),),
    )
    assert (first.bridge, first.tap) == ("k6t-eth0", "tap0")
    digest = hashlib.sha256(b"overlay").hexdigest()[:11]
    assert second.pod_interface == f"pod{digest}"
    assert (second.bridge, second.tap) == (f"k6t-{digest}", f"tap{digest}")
    assert (second.network, second.mac) == ("demo/ovn-k-1", "02:00:00:aa:00:01")
    assert (vm.memory, vm.image, vm.grace_seconds) == (1024 * 10**6, "quay.io/x/fedora:1", 0)
    assert vm.boot_disk is None


def test_a_small_guest_gets_what_the_kernel_needs() -> None:
    path = "spec.domain.resources.requests.memory"
    vm = machine.read(manifests.bent(manifests.instance(), path, "64Mi"))
    assert vm.memory == machine.MEMORY_FLOOR


def test_a_machine_without_interfaces_gets_the_pods_network() -> None:
    vm = machine.read({"metadata": {"name": "a"}, "spec": {"domain": {}}})
    assert [nic.binding for nic in vm.nics] == ["masquerade"]
    devices = {"autoattachPodInterface": False}
    vm = machine.read({"metadata": {"name": "a"}, "spec": {"domain": {"devices": devices}}})
    assert vm.nics == ()


def test_a_local_image_boots_and_is_named_in_two_ways() -> None:
    path = "spec.volumes.0"
    vmi = manifests.bent(manifests.instance(), path, {"name": "root", "hostDisk": {"path": "/img"}})
    assert machine.read(vmi).boot_disk == machine.Disk("root", "image", "/img")
    vmi = manifests.instance()
    vmi["metadata"]["annotations"] = {machine.DISK_ANNOTATION: "/img"}
    assert machine.read(vmi).boot_disk == machine.Disk(
        machine.DISK_ANNOTATION, "image", "/img", ephemeral=True
    )


def launch(**changes: Any) -> qemu.Launch:
    fields: dict[str, Any] = {
        "name": "demo_web1",
        "memory": 200 << 20,
        "cpus": 2,
        "accelerator": "tcg",
        "cards": (
            qemu.Card("02:00:00:00:00:01", "tap0", bus="port0"),
            qemu.Card("02:00:00:00:00:02", "tap1", 1300, bus="port1"),
        ),
        "drives": (qemu.Drive("/seed,1", read_only=True, serial=qemu.SEED_SERIAL),),
        "console": 20,
        "image": IMAGE,
        "ports": 2,
        "sockets": tuple((name, 10 + at) for at, name in enumerate(qemu.SOCKETS)),
        **changes,
    }
    return qemu.Launch(**fields)


def option(args: list[str], name: str) -> list[str]:
    return [args[at + 1] for at, arg in enumerate(args) if arg == name]


def test_an_emulated_guest_has_one_processor_and_boots_directly() -> None:
    args = qemu.arguments(launch())
    assert option(args, "-smp") == ["1"]
    assert option(args, "-m") == ["200M"]
    assert option(args, "-kernel") == ["/k"]
    assert "lpj=" in option(args, "-append")[0]
    assert option(args, "-cpu") == ["max"]


def test_kvm_gives_what_the_manifest_asks_for() -> None:
    args = qemu.arguments(launch(accelerator="kvm"))
    assert (option(args, "-smp"), option(args, "-cpu")) == (["2"], ["host"])
    assert "lpj=" not in option(args, "-append")[0]


def values(args: list[str], name: str) -> list[Any]:
    """Of options that are JSON; each of ours is."""
    return [json.loads(text) for text in option(args, name)]


def test_cards_keep_their_order_mac_and_mtu() -> None:
    cards = [each for each in values(qemu.arguments(launch()), "-device") if "netdev" in each]
    assert [card["mac"] for card in cards] == ["02:00:00:00:00:01", "02:00:00:00:00:02"]
    assert cards[1]["host_mtu"] == 1300
    assert "host_mtu" not in cards[0]


def test_a_guest_waits_until_its_cables_are_off() -> None:
    assert "-S" not in qemu.arguments(launch())
    down = qemu.Card("02:00:00:00:00:01", "tap0", is_down=True)
    assert "-S" in qemu.arguments(launch(cards=(*launch().cards, down)))


def test_an_image_boots_through_firmware_with_kubevirts_names() -> None:
    drives = (qemu.Drive(descriptor=7, format="qcow2"), *launch().drives)
    args = qemu.arguments(launch(image=None, drives=drives))
    assert "-kernel" not in args
    devices = values(args, "-device")
    assert {"driver": "virtio-blk-pci", "drive": "drive0", "bootindex": 0} in devices
    assert sum(device["driver"] == "pcie-root-port" for device in devices) == 4, "two are spare"
    assert option(args, "-add-fd") == ["fd=20,set=20", "fd=7,set=7"]


def test_a_disk_has_one_format_and_no_other_file() -> None:
    base = qemu.Drive(descriptor=7, read_only=True)
    drives = (qemu.Drive("/layer", format="qcow2", base=base), qemu.Drive("/x,y"))
    layered, plain = values(qemu.arguments(launch(drives=drives)), "-blockdev")
    assert layered["driver"] == "qcow2"
    assert layered["backing"]["driver"] == "raw"
    assert layered["backing"]["file"]["filename"] == "/dev/fdset/7"
    assert (plain["driver"], plain["file"]["filename"]) == ("raw", "/x,y")
    (alone,) = values(
        qemu.arguments(launch(drives=(qemu.Drive(descriptor=7, format="qcow2"),))), "-blockdev"
    )
    assert alone["backing"] is None, "what its header says of one is not followed"


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_whatever_a_manifest_says_is_one_value(serial: str, model: str, path: str) -> None:
    """Validation lets little of this come here; it would change nothing else if it did."""
    card = qemu.Card("02:00:00:00:00:01", "tap0", model=model)
    drive = qemu.Drive(path, serial=serial)
    plain = qemu.arguments(
        launch(cards=(qemu.Card("02:00:00:00:00:01", "tap0"),), drives=(qemu.Drive("p"),))
    )
    args = qemu.arguments(launch(cards=(card,), drives=(drive,)))
    assert len(args) == len(plain)
    assert [word for word in args if word.startswith("-")] == [
        word for word in plain if word.startswith("-")
    ]
    for name in ("-device", "-netdev", "-blockdev"):
        assert all(isinstance(each, dict) for each in values(args, name))


def test_paths_with_commas_stay_one_path() -> None:
    args = qemu.probe(IMAGE, "tcg", Path("/a,b/console"))
    assert "file,id=console,path=/a,,b/console" in args


def test_the_pod_is_kubevirts() -> None:
    pod = launcherpod.render(manifests.instance(), "/py")
    meta, spec = pod["metadata"], pod["spec"]
    assert meta["labels"] == {
        "app": "web",
        "kubevirt.io": "virt-launcher",
        "kubevirt.io/created-by": "vmi-uid",
        "vm.kubevirt.io/name": "web1",
    }
    assert meta["annotations"]["kubevirt.io/domain"] == "web1"
    assert json.loads(meta["annotations"]["k8s.v1.cni.cncf.io/networks"]) == [
        {
            "name": "ovn-k-1",
            "namespace": "demo",
            "interface": machine.pod_interface("overlay"),
            "mac": "02:00:00:aa:00:01",
        }
    ]
    (owner,) = meta["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("VirtualMachineInstance", "vmi-uid")
    assert spec["nodeSelector"] == {"kubernetes.io/hostname": "node2"}
    (container,) = spec["containers"]
    assert container["command"] == ["/py", "-m", "weft_lab.vm.launcher"]
    assert launcherpod.name(manifests.instance()) == meta["name"]


@given(st.text(max_size=30))
def test_no_kubelet_expands_what_a_user_wrote(text: str) -> None:
    """Kubernetes reads `$$` as one dollar and `$(NAME)` as a variable."""
    path = "spec.volumes.1.cloudInitNoCloud.userData"
    pod = launcherpod.render(manifests.bent(manifests.instance(), path, text), "/py")
    (entry,) = pod["spec"]["containers"][0]["env"]
    assert "$(" not in entry["value"].replace("$$", "")
    told = json.loads(entry["value"].replace("$$", "$"))
    assert told["spec"]["volumes"][1]["cloudInitNoCloud"]["userData"] == text


def test_a_machine_without_secondary_networks_asks_for_none() -> None:
    vmi = manifests.instance()
    vmi["spec"]["networks"].pop()
    assert launcherpod.selection(vmi) == []
    assert (
        "k8s.v1.cni.cncf.io/networks"
        not in launcherpod.render(vmi, "/py")["metadata"]["annotations"]
    )


def test_a_template_says_nothing_in_the_cluster_managers_name() -> None:
    vmi = manifests.instance()
    forged = (names.POD_NETWORKS, names.POD_NETWORKS_SIGNATURE, names.NETWORK_STATUS)
    vmi["metadata"]["annotations"] = {**dict.fromkeys(forged, "{}"), "own": "kept"}
    annotations = launcherpod.render(vmi, "/py")["metadata"]["annotations"]
    assert not set(forged) & set(annotations)
    assert annotations["own"] == "kept"


@given(st.binary(min_size=6, max_size=6), st.integers(1, 2))
def test_a_second_mac_is_another_local_unicast_one(raw: bytes, step: int) -> None:
    mac = (bytes([raw[0] & 0xFE]) + raw[1:]).hex(":")
    other = links.other_mac(mac, step)
    first = int(other[:2], 16)
    assert other != mac
    assert not first & 1
    assert first & 2


def test_a_stand_in_is_reported() -> None:
    told = list(specwarnings.on(manifests.instance()))
    assert [reason for reason, _ in told] == ["BuiltInGuest"]
    assert "quay.io/x/fedora:1 is not on this machine" in told[0][1]


def test_what_the_stand_in_cannot_do_is_reported() -> None:
    vmi = manifests.bent(
        manifests.instance(),
        "spec.volumes.1.cloudInitNoCloud",
        {"userData": "#cloud-config\npackages: [x]", "networkData": "version: 9"},
    )
    messages = [message for _, message in specwarnings.on(vmi)]
    assert any("does not follow: packages" in message for message in messages)
    assert any("must be 1 or 2, not 9" in message for message in messages)


def test_a_card_that_the_stand_in_cannot_drive_is_reported() -> None:
    vmi = manifests.bent(manifests.instance(), "spec.domain.devices.interfaces.1.model", "e1000")
    (told,) = [message for reason, message in specwarnings.on(vmi) if reason == "ModelReplaced"]
    assert "no driver for e1000, and gets virtio" in told
    vm = machine.read(vmi)
    assert {machine.model(vm, nic) for nic in vm.nics} == {"virtio"}
    vmi["metadata"]["annotations"] = {machine.DISK_ANNOTATION: "/img"}
    vm = machine.read(vmi)
    assert [machine.model(vm, nic) for nic in vm.nics] == ["virtio", "e1000"]
    assert "ModelReplaced" not in [reason for reason, _ in specwarnings.on(vmi)]


def test_a_manifest_chooses_the_networks_behind_the_pod() -> None:
    (default, _) = machine.read(manifests.instance()).nics
    assert (str(default.inside), str(default.inside6)) == ("10.0.2.0/24", "fd10:0:2::/120")
    own = {"vmNetworkCIDR": "10.7.7.9/28", "vmIPv6NetworkCIDR": "fd07::/120"}
    chosen = manifests.bent(manifests.instance(), "spec.networks.0.pod", own)
    (default, _) = machine.read(chosen).nics
    assert (str(default.inside), str(default.inside6)) == ("10.7.7.0/28", "fd07::/120")


def test_the_pod_has_the_machines_resolver() -> None:
    config = {"nameservers": ["192.0.2.53"], "searches": ["x.example"]}
    vmi = manifests.bent(manifests.instance(), "spec.dnsConfig", config)
    assert launcherpod.render(vmi, "/py")["spec"]["dnsConfig"] == config
    assert "FieldIgnored" not in [reason for reason, _ in specwarnings.on(vmi)]


def test_an_absent_interface_is_nowhere_and_one_that_is_down_has_no_cable() -> None:
    bridged = "spec.domain.devices.interfaces.1.state"
    absent = manifests.bent(manifests.instance(), bridged, "absent")
    assert [nic.name for nic in machine.read(absent).nics] == ["default"]
    assert launcherpod.selection(absent) == []
    down = manifests.bent(manifests.instance(), bridged, "down")
    assert [nic.is_down for nic in machine.read(down).nics] == [False, True]
    assert len(launcherpod.selection(down)) == 1
    seen = status.interfaces(machine.read(down), ("a", "b"), ())
    assert [one.get("linkState") for one in seen] == [None, "down"]


@pytest.mark.parametrize(
    ("interface", "state", "rule"),
    [
        (1, "gone", "must be up, down or absent"),
        (0, "absent", "is for an interface with bridge alone"),
        (0, "down", ""),
        (1, "up", ""),
    ],
)
def test_the_states_of_an_interface(interface: int, state: str, rule: str) -> None:
    path = f"spec.domain.devices.interfaces.{interface}.state"
    found = validation.instance_findings(manifests.bent(manifests.instance(), path, state))
    assert [rule in str(each) for each in found] == ([True] if rule else [])


def test_a_screen_is_the_last_device_and_its_server_a_socket() -> None:
    plain, shown = qemu.arguments(launch()), qemu.arguments(launch(has_screen=True))
    assert option(plain, "-vnc") == []
    assert option(shown, "-vnc") == ["unix:vnc.sock"]
    before = values(plain, "-device")
    assert values(shown, "-device") == [*before, {"driver": "VGA", "id": "video"}]
    assert option(shown, "-append")[0].startswith("console=tty0 console=ttyS0 ")


def test_an_instance_says_whether_it_has_a_screen() -> None:
    def shown(graphics: bool | None, image: str = "") -> Any:
        vmi = manifests.instance()
        vmi["metadata"]["annotations"] = {machine.DISK_ANNOTATION: image}
        if graphics is not None:
            vmi["spec"]["domain"]["devices"]["autoattachGraphicsDevice"] = graphics
        found = machine.completed(vmi)["domain"]["devices"].get("autoattachGraphicsDevice")
        assert machine.read(vmi).has_screen is (found is not False)
        return found

    assert shown(None) is False, "the built-in guest"
    assert shown(True) is True
    assert shown(None, "/images/debian.qcow2") is None, "the default"
    assert shown(False, "/images/debian.qcow2") is False
