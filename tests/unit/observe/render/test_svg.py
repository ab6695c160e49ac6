from __future__ import annotations

from xml.etree import ElementTree

from weft.observe.render import svg
from weft.observe.render.drawing import Box, Dot, Drawing, Path, Shape, Text

EVIL = '</title><script>alert("1")</script>&amp;\x1b\x00'


def test_names_stay_words() -> None:
    box = Box(1, 2, 30, 40, Shape.POD, (Text(3, 4, EVIL, "name", full=EVIL),), EVIL, 1, EVIL)
    drawing = Drawing(
        99.5, 50, EVIL, EVIL, (box,), (Path(((0, 0), (1, 1)), title=EVIL),), (box,), (Dot(1, 1),)
    )
    root = ElementTree.fromstring(svg.render(drawing))
    kinds = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert kinds == {"svg", "title", "desc", "style", "rect", "g", "text", "path", "circle"}
    assert EVIL.replace("\x1b", "�").replace("\x00", "�") in [e.text for e in root.iter()]


def test_it_fetches_nothing_and_has_two_grounds() -> None:
    text = svg.render(Drawing(10, 10, "t", "s"))
    assert text.count("http") == 1  # the name space
    assert "prefers-color-scheme:dark" in text
    assert "url(" not in text
