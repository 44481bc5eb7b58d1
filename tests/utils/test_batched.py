"""Lists of a size."""

from yolov7.utils.batched import batched


def test_the_last_list_may_be_shorter():
    assert list(batched(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(batched([], 3)) == []
