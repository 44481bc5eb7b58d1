"""JSON files of people: every encoding that JSON may have, and errors with their place."""

from __future__ import annotations

import pytest

from yolov7.utils.errors import DatasetError
from yolov7.utils.json_file import read_json


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_encodings(encoding, tmp_path):
    (tmp_path / "a.json").write_bytes('{"é": [1, 2.5]}'.encode(encoding))
    assert read_json(tmp_path / "a.json", kind="file") == {"é": [1, 2.5]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1,\n "b"', r"a\.json, line 2, column 5: not valid JSON"),
        (b"", r"a\.json, line 1, column 1"),
        (b"\x89PNG\xff\xfe", r"a\.json: not a JSON text file"),
        (None, r"Cannot read settings .*a\.json: No such file"),
    ],
)
def test_files_that_are_none(content, message, tmp_path):
    if content is not None:
        (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        read_json(tmp_path / "a.json", kind="settings")
