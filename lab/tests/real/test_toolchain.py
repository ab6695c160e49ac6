import json
import os
import subprocess

import pytest

from weft_lab.runtime import databases
from weft_lab.runtime.toolchain import Toolchain

pytestmark = pytest.mark.real


@pytest.mark.parametrize(
    "program",
    [
        "ovsdb-server",
        "ovs-vswitchd",
        "ovn-northd",
        "ovn-controller",
        "ovn-nbctl",
        "qemu-system-x86_64",
        "qemu-img",
    ],
)
def test_each_program_runs_and_tells_its_version(toolchain: Toolchain, program: str) -> None:
    done = subprocess.run(
        [toolchain.program(program), "--version"], capture_output=True, text=True, check=True
    )
    assert program.split("-system")[0].split("-img")[0] in done.stdout.lower()


def test_kernel_modules_and_schemas_belong_together(toolchain: Toolchain) -> None:
    assert toolchain.kernel.name.removeprefix("vmlinuz-") == toolchain.kernel_modules.name
    for name in ("vswitch", "ovn-nb", "ovn-sb"):
        assert toolchain.schema(name).stat().st_size > 1000


def test_busybox_needs_no_library(toolchain: Toolchain) -> None:
    done = subprocess.run(
        [toolchain.program("busybox"), "echo", "here"],
        capture_output=True,
        text=True,
        env={},
        check=True,
    )
    assert done.stdout == "here\n"


def test_new_databases_have_the_row_that_ovn_controller_takes_for_granted(
    toolchain: Toolchain,
) -> None:
    query = ["OVN_Southbound", {"op": "select", "table": "SB_Global", "where": []}]
    found = databases.ensure(toolchain) / "ovn-sb.db"
    done = subprocess.run(
        [toolchain.program("ovsdb-tool"), "query", str(found), json.dumps(query)],
        capture_output=True,
        text=True,
        env={**os.environ, **toolchain.env},
        check=True,
    )
    assert len(json.loads(done.stdout)[0]["rows"]) == 1
