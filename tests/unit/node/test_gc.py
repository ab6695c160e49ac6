"""Which ports and devices of a node nobody has a use for any more."""

from __future__ import annotations

from weft import model, names
from weft.api.pod import Pod
from weft.nic import port
from weft.node import gc


def bound(pod: str, uid: str) -> port.Bound:
    device = names.host_device(pod, "net1")
    ref = model.PodRef(model.ObjectKey("default", pod), uid)
    return port.Bound(device, "net1", pod, "", "blue", "default/blue", "", ref)


def test_a_port_goes_with_its_pod_and_not_with_another_of_its_name() -> None:
    refs = (
        model.PodRef(model.ObjectKey("default", "stays"), "u1"),
        model.PodRef(model.ObjectKey("default", "again"), "new"),
    )
    pods = {ref.key: Pod(ref, "1") for ref in refs}
    stays, again, gone = bound("stays", "u1"), bound("again", "old"), bound("gone", "u3")
    assert gc.orphaned([stays, again, gone], pods.get) == [again, gone]


def test_a_device_without_a_port_is_a_stray_and_nobody_elses_is() -> None:
    kept, stray = names.host_device("kept", "net1"), names.host_device("killed", "net1")
    assert gc.stray(["eth0", "veth12", kept, stray, "wpnot"], {kept}) == [stray]
