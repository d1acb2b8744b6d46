from __future__ import annotations

import json

import pytest

from amci.kernel.packing import packed, unpacked, unpacked_text
from amci.kernel.state import State


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"object_id": 1},
        {"object_id": 2, "version": 1, "tables": [{"files": ["ä\u2028\x00"]}], "n": 1e300},
    ],
)
def test_what_is_packed_comes_back_as_it_was(state: State, document: dict[str, object]) -> None:
    small = packed(document, clear=("object_id", "version"))
    assert small.keys() - {"packed"} == document.keys() & {"object_id", "version"}
    assert unpacked(json.loads(json.dumps(small))) == document
    assert unpacked(document) == document
    for text in (json.dumps(small), json.dumps(document)):
        assert json.loads(state.read("SELECT unpacked(?)", (text,))[0][0]) == document
    assert unpacked_text(None) is None


def test_what_was_packed_by_the_first_text_in_common_is_read_for_ever() -> None:
    text = '{"packed": "1:c=>0g#6iQJ7-NwYB_<^+)dB$i3=Dz", "object_id": 7}'
    assert unpacked(json.loads(text)) == {"object_id": 7, "again": "", "tables": [], "read_by": "abc"}
