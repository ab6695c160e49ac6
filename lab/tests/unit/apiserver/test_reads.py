import pytest

from weft_lab.apiserver import reads, status, store


def items(count: int) -> list[store.Item]:
    return [store.Item(("", str(n)), str(n), n, b"{}", {}, {}, (), False, {}) for n in range(count)]


def test_parts_make_the_whole() -> None:
    pages, whole = reads.Pages(), items(10)
    page = pages.first(whole, 7, 4)
    found = list(page.items)
    while page.token:
        page = pages.following(page.token, 4)
        found += page.items
    assert found == whole
    assert page.revision == 7


def test_a_list_without_a_limit_is_whole() -> None:
    page = reads.Pages().first(items(3), 1, 0)
    assert len(page.items) == 3
    assert page.meta() == {"resourceVersion": "1"}


def test_lists_that_nobody_fetched_are_forgotten() -> None:
    pages = reads.Pages()
    first = pages.first(items(2), 1, 1)
    for _ in range(100):
        pages.first(items(2), 1, 1)
    with pytest.raises(status.ApiError) as caught:
        pages.following(first.token, 1)
    assert caught.value.code == 410


def test_a_token_of_an_earlier_life_is_too_old() -> None:
    token = reads.Pages().first(items(2), 1, 1).token
    pages = reads.Pages()
    pages.first(items(2), 1, 1)
    with pytest.raises(status.ApiError) as caught:
        pages.following(token, 1)
    assert caught.value.code == 410


@pytest.mark.parametrize("token", ["x", "e30", "bnVsbA"])
def test_a_made_up_token(token: str) -> None:
    with pytest.raises(status.ApiError, match="continue key is not valid"):
        reads.Pages().following(token, 1)


def test_revisions() -> None:
    reads.check_revision({"resourceVersion": "5"}, 9)
    with pytest.raises(status.ApiError) as caught:
        reads.check_revision({"resourceVersion": "10"}, 9)
    assert caught.value.code == 504
    with pytest.raises(status.ApiError) as caught:
        reads.check_revision({"resourceVersion": "5", "resourceVersionMatch": "Exact"}, 9)
    assert caught.value.code == 410
    with pytest.raises(status.ApiError, match="invalid resource version"):
        reads.check_revision({"resourceVersion": "x"}, 9)
