import pytest

from weft_lab.apiserver import protobuf, status


def field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return bytes([number << 3, value])
    return bytes([number << 3 | 2, len(value)]) + value


def envelope(kind: bytes, raw: bytes) -> bytes:
    return b"k8s\x00" + field(1, field(1, b"v1") + field(2, kind)) + field(2, raw)


def test_a_config_map() -> None:
    meta = field(1, b"name") + field(7, 0) + field(11, field(1, b"k") + field(2, b"v"))
    data = field(2, field(1, b"a") + field(2, b"b"))
    assert protobuf.decode(envelope(b"ConfigMap", field(1, meta) + data)) == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "name", "labels": {"k": "v"}},
        "data": {"a": "b"},
    }


def test_bytes_numbers_and_ports() -> None:
    port = field(1, b"p") + field(3, 80) + field(4, field(1, 1) + field(3, b"http")) + field(5, 0)
    found = protobuf.decode(envelope(b"Service", field(2, field(1, port))))
    assert found["spec"]["ports"] == [{"name": "p", "port": 80, "targetPort": "http"}]
    secret = protobuf.decode(envelope(b"Secret", field(2, field(1, b"k") + field(2, b"\x00\xff"))))
    assert secret["data"] == {"k": "AP8="}
    eviction = protobuf.decode(envelope(b"Eviction", field(2, field(1, 0))))
    assert eviction["deleteOptions"] == {"gracePeriodSeconds": 0}


def test_negative_numbers() -> None:
    raw = b"\x08" + b"\xff" * 9 + b"\x01"
    assert protobuf.decode(envelope(b"DeleteOptions", raw))["gracePeriodSeconds"] == -1


@pytest.mark.parametrize("body", [b"", b"{}", b"k8s\x00", b"k8s\x00\x0a\x7f", b"k8s\x00\x0b"])
def test_what_is_broken_is_refused(body: bytes) -> None:
    with pytest.raises(status.ApiError) as caught:
        protobuf.decode(body)
    assert caught.value.code == 400


def test_a_type_that_is_not_known() -> None:
    with pytest.raises(status.ApiError) as caught:
        protobuf.decode(envelope(b"Pod", b""))
    assert caught.value.code == 415
