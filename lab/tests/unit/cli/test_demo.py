"""What the demo tells its users."""

from __future__ import annotations

import pytest
import yaml

from weft_lab.cli import demo
from weft_lab.cli.demo import Which
from weft_lab.demos import manifests, three_vms
from weft_lab.vm import cloudinit


def test_the_console_opens_to_who_is_named() -> None:
    machines = [obj for obj in manifests.read(three_vms.NAME) if obj["kind"] == "VirtualMachine"]
    assert machines
    for machine in machines:
        volumes = machine["spec"]["template"]["spec"]["volumes"]
        image = next(one["containerDisk"]["image"] for one in volumes if "containerDisk" in one)
        seed = next(one for one in volumes if "cloudInitNoCloud" in one)["cloudInitNoCloud"]
        password = yaml.safe_load(seed["userData"])["password"]
        told = f"user {cloudinit.default_user(image)}, password {password}"
        assert told == demo.LOGIN


def test_a_demo_ends_with_the_address_of_its_console() -> None:
    lab = {"name": "mine"}
    *said, last = demo._way_to_console(lab, "http://127.0.0.1:1/enter?key=x", "")
    assert last == "http://127.0.0.1:1/enter?key=x"
    assert "weft lab status --name mine" in said[0]
    (why,) = demo._way_to_console(lab, "", "no port is free")
    assert "no port is free" in why
    assert "weft console --lab mine" in why


@pytest.mark.parametrize("which", Which)
def test_every_demo_says_how_its_lab_is_removed(
    which: Which, capsys: pytest.CaptureFixture[str]
) -> None:
    demo._say_hints({"name": "mine", "kubeconfig": "/a/kubeconfig"}, which)
    assert "weft lab down --name mine" in capsys.readouterr().out.splitlines()[-1]
