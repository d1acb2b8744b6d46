"""The sandbox's own file."""

from __future__ import annotations

from pathlib import Path

import pytest

from amci.kernel.errors import StateError
from amci.kernel.testing import FakeClock
from amci.sandbox.store import Store, statements

NUMBERS = dict.fromkeys(
    ("now", "ready", "after", "since", "until", "limit", "slots", "pending", "never", "no_sooner", "lasts"), 1
)


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("due_queues", "queues_due"),
        ("due_schedule", "schedules_due"),
        ("running", "executions_running"),
        ("pending", "executions_pending"),
        ("rest", "executions_pending"),
        ("rest", "executions_running"),
        ("running_anywhere", "executions_running"),
        ("running_in", "executions_running"),
        ("overdue", "executions_running"),
        ("executions", "executions_by_instance"),
        ("executions_of_workflow", "executions_by_workflow"),
    ],
)
def test_what_is_asked_with_every_request_reads_no_more_than_it_needs(
    store: Store, query: str, index: str
) -> None:
    named = {"instance_id": "i", "instances": "[]", "workflow_id": "w", "is_with_cancelled": 1} | NUMBERS
    plan = [row["detail"] for row in store.read(f"EXPLAIN QUERY PLAN {statements()[query]}", named)]
    assert any(index in step for step in plan), plan
    assert not [
        step for step in plan if step.startswith("SCAN executions") and "INDEX executions_running" not in step
    ]
    assert not [step for step in plan if query == "rest" and "executions_by_instance" in step]


def _change_and_break(store: Store) -> None:
    with store.transaction():
        store.do("note", name="a", value="1")
        with store.transaction():
            store.do("note", name="b", value="2")
        raise ZeroDivisionError


def test_a_change_is_whole_or_not_at_all(store: Store) -> None:
    with pytest.raises(ZeroDivisionError):
        _change_and_break(store)
    assert store.noted("a", "nothing") == store.noted("b", "nothing") == "nothing"


def test_what_is_noted_first_stays(store: Store) -> None:
    assert [store.noted("key", value) for value in ("one", "two")] == ["one", "one"]


def test_a_file_that_is_none_of_the_sandboxs_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "sandbox.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(StateError, match="not a database"):
        Store.open(tmp_path / "sandbox.db", FakeClock())


def test_a_file_of_before_there_were_migrations_is_kept(tmp_path: Path) -> None:
    with Store.open(tmp_path / "sandbox.db", FakeClock()) as store:
        store.noted("key", "kept")
        store.write("DROP TABLE schema_migrations")
        store.write("DROP TABLE used")
    with Store.open(tmp_path / "sandbox.db", FakeClock()) as store:
        assert store.noted("key", "lost") == "kept"
        assert store.rows("used", instance_id="i", since=0) == []
