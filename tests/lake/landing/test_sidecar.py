from __future__ import annotations

import json
import resource
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from amci.kernel.errors import StorageError
from amci.kernel.layout import sidecar_of
from amci.lake.landing.sidecar import Sidecar, correlation_id

KEY = "acme/workflow=reach/schedule=daily/2026-11-02T06:00:00.000Z-reach-1a2b3c4d.csv"
SAID = {
    "workflow_execution_id": "1a2b3c4d-0000-4000-8000-000000000001",
    "time_window_start": "2026-10-01T00:00:00Z",
    "time_window_end": "2026-11-01T00:00:00+00:00",
    "sql_hash": "abc",
    "parameter_values": {"campaign": "secret launch"},
}


def put_with_sidecar(site: Any, said: str) -> None:
    path = site.raw / KEY
    path.parent.mkdir(parents=True, exist_ok=True)
    sidecar_of(path).write_text(said, encoding="utf-8")
    site.put(KEY, "campaign,cost\na,1\n")


def test_the_catalogue_says_which_execution_made_a_row(site: Any) -> None:
    put_with_sidecar(site, json.dumps(SAID))
    assert site.drain().tally.succeeded == 2
    rows = site.query(
        "SELECT key, workflow_execution_id, time_window_start, time_window_end, sql_hash FROM amci.objects"
    )
    assert rows == [
        (KEY, SAID["workflow_execution_id"], datetime(2026, 10, 1), datetime(2026, 11, 1), "abc")  # noqa: DTZ001 - as the lake holds moments
    ]


@pytest.mark.parametrize("said", ["not json", "[]", '{"time_window_start": "yesterday"}'])
def test_a_sidecar_that_cannot_be_read_keeps_no_row_out(site: Any, said: str) -> None:
    put_with_sidecar(site, said)
    assert site.drain().tally.succeeded == 2
    assert site.query("SELECT workflow_execution_id, rows FROM amci.objects") == [(None, 1)]


def test_a_file_without_sidecar_has_no_origin(tmp_path: Path) -> None:
    beside = Sidecar(tmp_path / "a.csv")
    assert beside.origin() == beside.types() == {}


def test_a_note_that_cannot_be_read_for_now_is_not_taken_for_none(tmp_path: Path) -> None:
    """Rows would be loaded without their origin and their types, and nobody would know."""
    raw = tmp_path / "result.csv"
    sidecar_of(raw).write_text('{"workflow_execution_id": "w1", "correlation_id": "c1"}')
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(StorageError, match="Too many open files"):
            Sidecar(raw)
        assert correlation_id(raw) == ""
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert Sidecar(raw).origin() == {"workflow_execution_id": "w1"}
