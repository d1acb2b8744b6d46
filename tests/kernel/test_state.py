from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from amci.kernel.clock import SystemClock
from amci.kernel.errors import StateError, StorageError, WorkspaceTooNew
from amci.kernel.files import on_fault_point
from amci.kernel.state import State, insert_many, named_queries


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "amci.db"


@pytest.fixture
def state(path: Path) -> Iterator[State]:
    with State.open(path, SystemClock()) as opened:
        opened._db.execute("CREATE TABLE notes (note TEXT UNIQUE) STRICT")
        yield opened


def put(state: State, *values: str, fail: bool = False) -> None:
    with state.transaction() as db:
        db.executemany("INSERT INTO notes VALUES (?)", [(value,) for value in values])
        if fail:
            raise KeyError


def notes(state: State) -> list[str]:
    return [row["note"] for row in state.read("SELECT note FROM notes ORDER BY note")]


def test_named_queries_splits_at_the_name_lines() -> None:
    found = named_queries("-- a header\n-- name: one\n-- why\nSELECT 1;\n\n-- name: two\nSELECT 2;\n")
    assert found == {"one": "-- why\nSELECT 1;", "two": "SELECT 2;"}


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 250])
def test_many_rows_are_inserted_in_their_order_and_counted(state: State, count: int) -> None:
    rows = [(f"{position} \udc80",) for position in range(count)]
    with state.transaction() as db:
        insert_many(db, "INSERT INTO notes VALUES (?)", rows[1::2])
        changed = insert_many(
            db, "INSERT INTO notes (note) VALUES (?) ON CONFLICT (note) DO NOTHING", iter(rows)
        )
    assert changed == len(rows[::2])
    stored = [row["note"] for row in state.read("SELECT note FROM notes ORDER BY rowid")]
    assert stored == [f"{row[0][:-1]}\\udc80" for row in (*rows[1::2], *rows[::2])]


def test_a_new_state_file_is_in_wal_mode_and_knows_its_migrations(state: State) -> None:
    assert state.read("PRAGMA journal_mode")[0][0] == "wal"
    assert state.read("PRAGMA foreign_keys")[0][0] == 1
    assert state.read("SELECT name FROM schema_migrations WHERE number = 1")[0]["name"] == "0001_runs"


def test_opening_twice_applies_nothing_twice(path: Path) -> None:
    class Later:
        def now(self) -> datetime:
            return datetime(2040, 1, 1, tzinfo=UTC)

        def wait(self, event: threading.Event, _pause: timedelta) -> bool:
            return event.is_set()

    with State.open(path, SystemClock()) as first:
        before = [tuple(row) for row in first.read("SELECT * FROM schema_migrations")]
    with State.open(path, Later()) as second:
        assert [tuple(row) for row in second.read("SELECT * FROM schema_migrations")] == before


@pytest.mark.parametrize("opened", [lambda path: State.open(path, SystemClock()), State.read_only])
def test_a_file_with_an_unknown_migration_is_too_new(path: Path, opened: Callable[[Path], State]) -> None:
    with State.open(path, SystemClock()) as state, state.transaction() as db:
        db.execute(
            "INSERT INTO schema_migrations VALUES (9999, '9999_future', '2099-01-01T00:00:00.000000Z')"
        )
    with pytest.raises(WorkspaceTooNew, match="9999_future") as caught:
        opened(path)
    assert caught.value.hint


def test_a_transaction_is_all_or_nothing(state: State) -> None:
    with pytest.raises(KeyError):
        put(state, "a", fail=True)
    assert notes(state) == []
    put(state, "b")
    assert notes(state) == ["b"]


def test_a_nested_transaction_can_fail_alone(state: State) -> None:
    with state.transaction():
        put(state, "outer")
        with pytest.raises(KeyError):
            put(state, "inner", fail=True)
        put(state, "second")
    assert notes(state) == ["outer", "second"]


def test_a_nested_transaction_falls_with_the_outer_one(state: State) -> None:
    def outer() -> None:
        with state.transaction():
            put(state, "inner")
            raise KeyError

    with pytest.raises(KeyError):
        outer()
    assert notes(state) == []


def test_threads_never_share_a_transaction(state: State) -> None:
    inside, go_on = threading.Event(), threading.Event()
    seen: list[int] = []

    def first() -> None:
        with state.transaction() as db:
            db.execute("INSERT INTO notes VALUES ('first')")
            inside.set()
            go_on.wait(10)
            db.execute("DELETE FROM notes")

    def second() -> None:
        inside.wait(10)
        go_on.set()
        with state.transaction() as db:
            seen.append(db.execute("SELECT count(*) FROM notes").fetchone()[0])
            db.execute("INSERT INTO notes VALUES ('second')")

    threads = [threading.Thread(target=work) for work in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert seen == [0]
    assert notes(state) == ["second"]


def test_a_second_process_sees_the_state_before_or_after_a_commit(state: State, path: Path) -> None:
    with State.read_only(path) as looking:
        with state.transaction() as db:
            db.execute("INSERT INTO notes VALUES ('a')")
            assert notes(looking) == []
        assert notes(looking) == ["a"]


def test_who_only_looks_cannot_write(state: State, path: Path) -> None:
    with (
        State.read_only(path) as looking,
        pytest.raises(StorageError) as caught,
        looking.transaction() as db,
    ):
        db.execute("INSERT INTO notes VALUES ('a')")
    assert caught.value.hint
    assert notes(state) == []


def test_looking_at_no_file_is_a_storage_error_and_makes_none(path: Path) -> None:
    with pytest.raises(StorageError):
        State.read_only(path)
    assert not path.exists()


def test_looking_at_an_older_state_file_says_what_to_do(path: Path) -> None:
    sqlite3.connect(path).close()
    path.touch()
    with pytest.raises(StateError) as caught:
        State.read_only(path)
    assert "amci" in caught.value.hint


def test_a_file_of_something_else_is_no_state_file(path: Path) -> None:
    path.write_bytes(b"customer,cost\n" * 500)
    with pytest.raises(StateError) as caught:
        State.open(path, SystemClock())
    assert not caught.value.retryable
    assert caught.value.hint


def test_a_directory_that_is_not_there_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught:
        State.open(tmp_path / "nowhere" / "amci.db", SystemClock())
    assert caught.value.retryable


def test_a_full_disk_is_a_retryable_storage_error_and_leaves_the_state_usable(state: State) -> None:
    pages = state.read("PRAGMA page_count")[0][0]
    state._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StorageError, match="full") as caught:
        put(state, "a", "x" * 100_000)
    assert caught.value.retryable
    assert "space" in caught.value.hint
    state._db.execute("PRAGMA max_page_count = 1000000")
    assert notes(state) == []
    with state.transaction() as db:
        db.execute("INSERT INTO notes VALUES ('b')")
    assert notes(state) == ["b"]


def test_a_locked_state_file_is_a_retryable_storage_error(state: State, path: Path) -> None:
    with State.open(path, SystemClock()) as other:
        other._db.execute("PRAGMA busy_timeout = 0")
        with state.transaction(), pytest.raises(StorageError) as caught, other.transaction():
            pass
    assert "another process" in caught.value.hint


def test_a_broken_constraint_stays_what_it_is(state: State) -> None:
    with pytest.raises(sqlite3.IntegrityError), state.transaction() as db:
        db.execute("INSERT INTO notes VALUES ('a'), ('a')")
    assert notes(state) == []


def test_fault_points_stand_around_the_outermost_commit_only(state: State, path: Path) -> None:
    seen: list[tuple[str, int]] = []
    with State.read_only(path) as looking:
        on_fault_point(lambda name: seen.append((name, len(notes(looking)))))
        try:
            with state.transaction(), state.transaction() as db:
                db.execute("INSERT INTO notes VALUES ('a')")
        finally:
            on_fault_point(None)
    assert seen == [("state.before_commit", 0), ("state.after_commit", 1)]


def test_a_migration_that_fails_leaves_nothing_and_is_done_the_next_time(path: Path) -> None:
    class Crash(Exception):
        pass

    def crash(name: str) -> None:
        if name == "state.before_commit":
            raise Crash

    on_fault_point(crash)
    try:
        with pytest.raises(Crash):
            State.open(path, SystemClock())
    finally:
        on_fault_point(None)
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM schema_migrations").fetchone() == (0,)
        assert not db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'runs'").fetchall()
    db.close()
    with State.open(path, SystemClock()) as state:
        assert state.read("SELECT count(*) AS n FROM runs")[0]["n"] == 0
