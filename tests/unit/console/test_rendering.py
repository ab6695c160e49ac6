"""What stands around pages and in place of their lists, in HTML."""

from __future__ import annotations

import os
from pathlib import Path
from types import MappingProxyType

import pytest

from tests.support import consoled
from weft.console import libraries, pages, rendering
from weft.console.page import NoSuchObject, Page, Reading
from weft.console.rendering import Frame, Renderer, Shown
from weft.kube import resources

MISSING = (
    {"stale": {resources.MULTINETWORKPOLICIES: "no answer"}},
    {"left_out": {resources.MULTINETWORKPOLICIES: 3}},
    {"denied": {resources.MULTINETWORKPOLICIES: "forbidden"}},
)


def page(name: str) -> Page:
    return next(one for one in pages.listed() if one.name == name)


def shown(name: str, reading: Reading, query: dict[str, str] | None = None) -> Shown:
    asked = consoled.asked(query)
    return Shown(page(name), asked, reading, page(name).view(reading, asked))


@pytest.mark.parametrize("lack", MISSING)
def test_no_page_says_that_there_is_nothing_while_objects_are_missing(
    lack: dict[str, MappingProxyType[object, object]],
) -> None:
    said = "every member of a network reaches every other"
    assert said in Renderer().fragment(shown("policies", Reading()), "")
    assert said not in Renderer().fragment(shown("policies", Reading(**lack)), "")  # type: ignore[arg-type]


def test_an_object_that_is_left_out_is_not_said_to_be_nowhere() -> None:
    reading = Reading(left_out={resources.NETWORKS: 3})
    with pytest.raises(NoSuchObject, match="3 of the kind Network are left out"):
        page("network").view(reading, consoled.asked(path={"name": "blue"}))


def test_another_namespace_is_shown_from_its_first_part() -> None:
    query = {"part": "3", "about": "web"}
    text = Renderer().whole(shown("machines", Reading(), query), Frame("token"))
    assert 'name="about" value="web"' in text
    assert 'name="part"' not in text


def test_a_part_alone_is_no_filter() -> None:
    text = Renderer().fragment(shown("machines", Reading(), {"part": "2"}), "")
    assert "is called so" not in text


@pytest.mark.parametrize("name", ["serial", "screen"])
def test_a_device_without_its_libraries_says_what_is_missing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its script could load none of them, and would show nothing."""
    asked = consoled.asked(path={"namespace": "default", "name": "one"})
    device = Shown(page(name), asked, Reading(), page(name).view(Reading(), asked))
    for folder, is_there in ((tmp_path / "none", False), (tmp_path, True)):
        monkeypatch.setattr(libraries, "FOLDER", folder)
        for each in page(name).libraries if is_there else ():
            (folder / each).parent.mkdir(parents=True, exist_ok=True)
            (folder / each).touch()
        text = Renderer().whole(device, Frame("token"))
        assert (
            "are not installed: run make prepare where npm is, and start" in text
        ) is not is_there
        assert ("data-socket" in text) is is_there
        assert (f"static/{name}.js" in text) is is_there


def test_templates_are_those_of_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "FOLDERS", [tmp_path])
    template, renderer = tmp_path / "one.html", Renderer()
    template.write_text("before")
    assert renderer.part("one.html") == "before"
    template.write_text("after")
    os.utime(template, (1, 1))
    assert renderer.part("one.html") == "before"
