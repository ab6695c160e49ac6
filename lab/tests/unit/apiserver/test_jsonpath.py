import pytest

from weft_lab.apiserver import jsonpath

OBJECT = {
    "metadata": {"annotations": {"a.b/c": "x"}},
    "spec": {"list": [{"n": 1, "t": "one"}, {"n": 2, "t": "two"}], "on": True},
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (".spec.on", [True]),
        ("{.spec.on}", [True]),
        (".metadata.annotations['a.b/c']", ["x"]),
        (r".metadata.annotations.a\.b/c", ["x"]),
        (".spec.list[0].t", ["one"]),
        (".spec.list[-1].t", ["two"]),
        (".spec.list[*].n", [1, 2]),
        ('.spec.list[?(@.t=="two")].n', [2]),
        (".spec.list[?(@.n==1)].t", ["one"]),
        (".spec.list[?(@.n!=1)].t", ["two"]),
        (".spec.missing.deeper", []),
        (".spec.list[9]", []),
    ],
)
def test_finds(path: str, expected: list[object]) -> None:
    assert jsonpath.compile(path)(OBJECT) == expected


@pytest.mark.parametrize("path", [".spec[", "spec..["])
def test_refuses(path: str) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        jsonpath.compile(path)
