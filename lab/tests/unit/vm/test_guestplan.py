from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft_lab.vm import cloudinit, cloudinitdisk, guestplan, machine, networkdata

MACS = ("02:00:00:00:00:01",)
VM = machine.read({"metadata": {"name": "vm1", "namespace": "ns", "uid": "u"}, "spec": {}})


def boot(user: str = "", network: str = "") -> list[str]:
    files = cloudinitdisk.files(VM, cloudinitdisk.Data(user, network), MACS)
    return files[guestplan.BOOT].decode().splitlines()


def test_a_guest_without_data_gets_its_name_only() -> None:
    assert boot() == [
        *("early() {", "  :", "  name vm1", "}"),
        *("network() {", "  :", "}", "late() {", "  :", "}"),
    ]


def test_the_standard_files_are_there_for_other_images() -> None:
    files = cloudinitdisk.files(VM, cloudinitdisk.Data("#cloud-config\n{}", "version: 2"), MACS)
    assert files["user-data"] == b"#cloud-config\n{}"
    assert files["network-config"] == b"version: 2"
    assert b'"local-hostname": "vm1"' in files["meta-data"]
    again = replace(VM, uid="of another instance")
    data = cloudinitdisk.Data("#cloud-config\n{}", "version: 2")
    assert cloudinitdisk.files(again, data, MACS) == files, "a restart makes it no other machine"


def test_static_addresses_leave_no_dhcp() -> None:
    lines = boot(network="version: 2\nethernets: {eth0: {addresses: [10.0.0.1/24], mtu: 1300}}")
    assert "  claim eth0" in lines
    assert "  ip link set eth0 mtu 1300" in lines
    assert "  address eth0 10.0.0.1/24" in lines
    assert not any("dhcp4" in line for line in lines)


def test_unreadable_data_still_boot_a_guest() -> None:
    assert boot("nonsense", "also: [") == boot()


def test_files_travel_beside_the_script() -> None:
    user = "#cloud-config\nwrite_files: [{path: /etc/x, content: hello, permissions: '0600'}]"
    files = cloudinitdisk.files(VM, cloudinitdisk.Data(user), MACS)
    assert files["weft-0"] == b"hello"
    assert b"place weft-0 /etc/x 0600 root:root" in files[guestplan.BOOT]


@given(
    st.text(st.characters(exclude_characters="\0\n", exclude_categories=["Cs"]), min_size=1),
)
def test_no_word_of_a_user_escapes_its_quotes(word: str) -> None:
    """What a shell reads out of the script is what the user wrote."""
    config = cloudinit.CloudConfig(users=(cloudinit.User("ada", password=word),))
    script = guestplan.write(config, (), MACS)[guestplan.BOOT].decode()
    verbs = 'user() { :; }\npassword() { printf "%s" "$2"; }\n'
    shell = shutil.which("sh")
    assert shell
    done = subprocess.run(
        [shell, "-s"], input=f"{verbs}{script}\nearly\n".encode(), capture_output=True
    )
    assert done.stdout == word.encode()


def test_the_shipped_verbs_are_those_that_are_used() -> None:
    verbs = (Path(guestplan.__file__).with_name("guest") / "verbs").read_text()
    ethernet = networkdata.Ethernet(
        "eth0",
        dhcp4=True,
        dhcp6=True,
        addresses=("10.0.0.1/24",),
        routes=(networkdata.Route("default", "10.0.0.9"),),
        nameservers=("10.0.0.9",),
        search=("example.org",),
        rename="lan0",
        accept_ra=False,
    )
    config = cloudinit.CloudConfig(
        hostname="h",
        users=(cloudinit.User("a", hashed="$1$"), cloudinit.User("b", password="x")),
        files=(cloudinit.File("/x", b""),),
        run_commands=("true",),
    )
    script = guestplan.write(config, (ethernet,), MACS)[guestplan.BOOT].decode()
    used = {line.split()[0] for line in script.splitlines() if line.startswith("  ")}
    for verb in used - {":", "ip"}:
        assert f"\n{verb}() {{" in verbs, verb


@pytest.mark.parametrize("name", ["rc", "verbs", "lease", "lease6", "console", "shutdown"])
def test_the_guests_scripts_are_shell(name: str) -> None:
    script = Path(guestplan.__file__).with_name("guest") / name
    shell = shutil.which("sh")
    assert shell
    subprocess.run([shell, "-n", str(script)], check=True)
