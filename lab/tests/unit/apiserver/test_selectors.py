import pytest

from weft_lab.apiserver import labelselectors, selectors, status

LABELS = {"app": "web", "tier": "1", "k8s.io/x": ""}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("app=web", True),
        ("app==web", True),
        ("app!=web", False),
        ("missing!=web", True),
        ("app in (web, db)", True),
        ("app notin (web,db)", False),
        ("missing notin (a)", True),
        ("app", True),
        ("!app", False),
        ("!missing", True),
        ("k8s.io/x=", True),
        ("tier>0", True),
        ("tier<1", False),
        ("app>0", False),
        ("app=web,tier in (1,2),!nope", True),
        ("app=web,tier=2", False),
    ],
)
def test_label_selector(text: str, expected: bool) -> None:
    predicate = selectors.parse_labels(text)
    assert predicate is not None
    assert predicate(LABELS) is expected


def test_nothing_asked() -> None:
    assert selectors.parse_labels("") is None
    assert selectors.parse_fields("", ()) is None


@pytest.mark.parametrize("text", ["a b", "a in web", "=x", "a in (x"])
def test_label_selector_refused(text: str) -> None:
    with pytest.raises(status.ApiError, match="expected"):
        selectors.parse_labels(text)


def test_field_selector() -> None:
    known = ("spec.nodeName", "status.phase")
    predicate = selectors.parse_fields("spec.nodeName=n1,status.phase!=Failed", known)
    assert predicate is not None
    assert predicate({"spec.nodeName": "n1", "status.phase": "Running"})
    assert not predicate({"spec.nodeName": "n1", "status.phase": "Failed"})
    assert not predicate({"spec.nodeName": "n2", "status.phase": "Running"})


def test_field_selector_names_the_unknown_field() -> None:
    with pytest.raises(status.ApiError, match=r"spec\.colour") as caught:
        selectors.parse_fields("spec.colour=red", ("status.phase",))
    assert caught.value.code == 400


def test_custom_types_name_no_fields_that_are_known() -> None:
    for custom, words in ((True, "field label not supported"), (False, "not a known field")):
        with pytest.raises(status.ApiError, match=words):
            selectors.parse_fields("spec.colour=red", (), custom=custom)


def test_exact_field() -> None:
    assert selectors.exact_field("a=b,metadata.name=web", "metadata.name") == "web"
    assert selectors.exact_field("metadata.name==web", "metadata.name") == "web"
    assert selectors.exact_field("metadata.name!=web", "metadata.name") is None


@pytest.mark.parametrize(
    "text", ["a" + " " * 60_000 + "x", " " * 60_000 + "!", "a in (" + " " * 60_000]
)
def test_a_long_selector_is_read_once(text: str) -> None:
    with pytest.raises(status.ApiError) as caught:
        selectors.parse_labels(text)
    assert len(str(caught.value)) < 6000


def test_a_selector_has_so_many_terms() -> None:
    many = ",".join(f"k{n}=v" for n in range(labelselectors.MOST + 1))
    with pytest.raises(status.ApiError, match="more than 500 terms"):
        selectors.parse_labels(many)
    with pytest.raises(status.ApiError, match="501 terms; at most 500"):
        selectors.parse_fields(many, ())
    assert selectors.parse_labels(f"{'a=b,' * 5000}a=b") is not None
    assert selectors.parse_labels(f"a in ({'b,' * 5000}c)") is not None
