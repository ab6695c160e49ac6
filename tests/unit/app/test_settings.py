from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import asdict, fields
from typing import Any

import pytest

from weft.app import settings
from weft.cli import cluster_manager, node


def test_each_option_of_a_process_has_its_record_and_default() -> None:
    records = {record.name: record.default for record in settings.CLUSTER_MANAGER}
    assert asdict(settings.ClusterManager()) == records
    assert [field.name for field in fields(settings.ClusterManager)] == list(records)


def test_flag_and_variable_follow_from_the_name() -> None:
    assert settings.LEADER_ELECT.flag == "--leader-elect"
    assert settings.LEADER_ELECT.env == "WEFT_LEADER_ELECT"


def test_each_record_says_what_it_is_for() -> None:
    for record in settings.CLUSTER_MANAGER:
        assert record.help.endswith(".")


@pytest.mark.parametrize(
    ("command", "known"),
    [(cluster_manager.command, settings.CLUSTER_MANAGER), (node.command, settings.AGENT)],
)
def test_each_setting_is_an_option_of_its_command(
    command: Callable[..., None], known: tuple[settings.Setting[Any], ...]
) -> None:
    options = inspect.signature(command).parameters
    assert {name: each.default for name, each in options.items()} == {
        each.name: each.default for each in known
    }
