import pytest

from weft_lab.apiserver import request, status

Route = request.Route

TEN = ",".join(["*a{0}"] * 10)
BOMB = 'a0: &a0 ["lol"]\n' + "".join(f"a{n}: &a{n} [{TEN.format(n - 1)}]\n" for n in range(1, 9))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/v1/pods", Route("", "v1", "pods")),
        ("/api/v1/namespaces", Route("", "v1", "namespaces")),
        ("/api/v1/namespaces/a", Route("", "v1", "namespaces", "", "a")),
        ("/api/v1/namespaces/a/status", Route("", "v1", "namespaces", "", "a", "status")),
        ("/api/v1/namespaces/a/finalize", Route("", "v1", "namespaces", "", "a", "finalize")),
        ("/api/v1/namespaces/a/pods", Route("", "v1", "pods", "a")),
        ("/api/v1/namespaces/a/pods/b", Route("", "v1", "pods", "a", "b")),
        ("/api/v1/namespaces/a/pods/b/log", Route("", "v1", "pods", "a", "b", "log")),
        ("/api/v1/watch/pods", Route("", "v1", "pods")),
        ("/apis/g.io/v1/namespaces/a/ws/b/status", Route("g.io", "v1", "ws", "a", "b", "status")),
        ("/apis/g.io/v1/ws/a%2Fb", Route("g.io", "v1", "ws", "", "a/b")),
        ("/api", None),
        ("/api/v1", None),
        ("/apis/g.io/v1", None),
        ("/", None),
        ("/version", None),
    ],
)
def test_paths(path: str, expected: Route | None) -> None:
    assert request.parse_path(path) == expected


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("", "json"),
        ("*/*", "json"),
        ("application/json", "json"),
        ("application/vnd.kubernetes.protobuf,application/json", "json"),
        ("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", "table"),
        ("application/json;as=Table;v=v9;g=meta.k8s.io,application/json", "json"),
        ("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1", "partial"),
    ],
)
def test_forms(header: str, kind: str) -> None:
    assert request.parse_accept(header, "").kind == kind


def test_no_form_that_is_known() -> None:
    with pytest.raises(status.ApiError) as caught:
        request.parse_accept("application/vnd.kubernetes.protobuf", "")
    assert caught.value.code == 406


def test_bodies() -> None:
    assert request.parse_body(b"", "application/json").value is None
    assert request.parse_body(b'{"a":1}', "application/json").value == {"a": 1}
    assert request.parse_body(b"a: 1\nb: 2020-01-01", "application/yaml").value == {
        "a": 1,
        "b": "2020-01-01",
    }
    with pytest.raises(status.ApiError, match="not valid JSON"):
        request.parse_body(b"a: 1", "application/json")
    with pytest.raises(status.ApiError, match="not valid YAML"):
        request.parse_body(b"a: [", "application/yaml")


@pytest.mark.parametrize(
    ("body", "media", "code"),
    [
        (b'{"a":' * 201 + b"1" + b"}" * 201, "application/json", 400),
        (b"[" * 3000 + b"]" * 3000, "application/json", 400),
        (b"a: " + b"[" * 3000, "application/yaml", 400),
        (b"[" + b"0," * 50_000 + b"0]", "application/json", 413),
        (b"- 0\n" * 50_001, "application/yaml", 413),
        (BOMB.encode(), "application/yaml", 413),
    ],
)
def test_a_body_has_a_budget(body: bytes, media: str, code: int) -> None:
    with pytest.raises(status.ApiError) as caught:
        request.parse_body(body, media)
    assert caught.value.code == code


def test_what_a_body_says_twice_is_reported_as_its_language_has_it() -> None:
    found = request.parse_body(b'{"spec":{"a":1,"a":2}}', "application/json")
    assert found == request.Body({"spec": {"a": 2}}, ('duplicate field "spec.a"',))
    found = request.parse_body(b"spec:\n  a: 1\n  a: 2\n", "application/yaml")
    assert found.duplicates == ('line 3: key "spec.a" already set in map',)


@pytest.mark.parametrize("manager", ["x" * 129, "a\nb"])
def test_a_field_manager_has_a_readable_name(manager: str) -> None:
    with pytest.raises(status.ApiError) as caught:
        request.write_options({"fieldManager": manager}, "")
    assert caught.value.code == 422
    assert len(request.write_options({}, manager).manager) <= 128


def test_write_options() -> None:
    found = request.write_options({"dryRun": "All", "fieldManager": "me", "force": "true"}, "")
    assert (found.dry_run, found.manager, found.force) == (True, "me", True)
    assert request.write_options({}, "kubectl/v1 (linux)").manager == "kubectl"
    for query in ({"dryRun": "Some"}, {"fieldValidation": "Lax"}):
        with pytest.raises(status.ApiError, match="Unsupported value"):
            request.write_options(query, "")


def test_delete_options() -> None:
    found = request.delete_options(
        {"gracePeriodSeconds": 0, "preconditions": {"uid": "u"}, "propagationPolicy": "Orphan"}, {}
    )
    assert (found.grace, found.uid, found.propagation) == (0, "u", "Orphan")
    assert request.delete_options(None, {"gracePeriodSeconds": "5"}).grace == 5
    assert request.delete_options({"orphanDependents": True}, {}).propagation == "Orphan"
    with pytest.raises(status.ApiError, match="propagationPolicy"):
        request.delete_options({"propagationPolicy": "Sideways"}, {})
    with pytest.raises(status.ApiError, match="invalid syntax"):
        request.delete_options({}, {"gracePeriodSeconds": "soon"})
