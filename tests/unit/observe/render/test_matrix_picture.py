from itertools import combinations
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from tests.support.reach import matrix, member
from weft.observe import outcomes
from weft.observe.reach import Matrix, ProbeResult
from weft.observe.render import lettering, matrix_picture, svg
from weft.observe.render.drawing import Box, Tone

NAMES = st.lists(
    st.from_regex(r"[a-z][a-z0-9-]{0,60}", fullmatch=True), min_size=0, max_size=7, unique=True
)


@st.composite
def matrices(draw: st.DrawFn) -> Matrix:
    names = draw(NAMES)
    chance = draw(st.randoms(use_true_random=False))
    members = [member(name, f"10.9.0.{number}") for number, name in enumerate(names, 1)]
    seen = (lambda *_: chance.choice(list(ProbeResult))) if draw(st.booleans()) else None
    return matrix(members, lambda *_: chance.random() < 0.5, seen)


def apart(one: Box, other: Box) -> bool:
    return (
        one.right <= other.x
        or other.right <= one.x
        or one.bottom <= other.y
        or other.bottom <= one.y
    )


@given(matrices())
def test_no_square_covers_another_and_all_is_on_the_paper(found: Matrix) -> None:
    drawing = matrix_picture.lay_out(found)
    titled = [box for box in drawing.boxes if box.title]
    assert len(titled) == len(found.results)
    assert all(apart(one, other) for one, other in combinations(drawing.boxes, 2))
    for box in drawing.boxes:
        assert box.x >= 0
        assert box.right <= drawing.width
        assert box.bottom <= drawing.height
    for text in drawing.written():
        width = lettering.width(text.content, text.style)
        assert text.turn or text.end or text.x + width <= drawing.width
        assert not text.end or text.x - width >= 0
    for dot in drawing.dots:
        assert any(
            box.x < dot.x < box.right and box.y < dot.y < box.bottom for box in drawing.boxes
        )


@given(matrices())
def test_every_difference_has_its_colour_and_its_sign(found: Matrix) -> None:
    drawing = matrix_picture.lay_out(found)
    marked = [box for box in drawing.boxes if box.title and box.tone in (Tone.WARN, Tone.BAD)]
    assert len(marked) == len(found.differing)
    signs: dict[Tone | None, str] = {Tone.WARN: "x", Tone.BAD: "!"}
    assert all([text.content for text in box.texts] == [signs[box.tone]] for box in marked)
    reasons = [text.content for text in drawing.texts if " > " in text.content]
    assert len(reasons) == min(len(found.differing), matrix_picture.MAX_REASONS)


def test_hundreds_of_members_stay_one_page() -> None:
    ends = [one + other for one in "bcdfghjklm" for other in "npqrs"]
    members = [
        member(f"{name}-7d9f8b6c5-bcd{end}", f"10.{number}.0.{place}")
        for number, name in enumerate(("web", "api", "cart"))
        for place, end in enumerate(ends)
    ]

    def seen(source: str, target: str) -> ProbeResult:
        return ProbeResult.SILENT if "web" in source and "cart" in target else ProbeResult.ANSWERED

    drawing = matrix_picture.lay_out(matrix(members, seen=seen))
    assert drawing.width < 900
    assert drawing.height < 700
    (marked,) = [box for box in drawing.boxes if box.title and box.tone is Tone.WARN]
    lines = marked.title.splitlines()
    assert lines[:2] == ["web ×50 > cart ×50", "2500 pairs: should connect, does not"]
    assert lines[-1] == f"and {2500 - matrix_picture.MAX_PAIRS} more"
    assert any(
        text.content.startswith("web ×50 > cart ×50, 2500 pairs: was") for text in drawing.texts
    )
    assert len(members) > outcomes.MOST


def test_the_picture_is_xml_and_tells_each_pair_on_pointing_at_it() -> None:
    members = [member("a", "10.9.0.1"), member("b<&>", "10.9.0.2")]
    drawn = svg.render(
        matrix_picture.lay_out(matrix(members, seen=lambda *_: ProbeResult.ANSWERED))
    )
    titles = [title.text for title in ElementTree.fromstring(drawn).iter() if "title" in title.tag]
    assert "Who reaches whom on blue" in titles
    assert (
        "a > b<&>\n10.9.0.1 > 10.9.0.2\nanswered\n"
        "expected to connect: no policy isolates either end" in titles
    )
    assert 'transform="rotate(-45 ' in drawn
