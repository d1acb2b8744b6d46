from __future__ import annotations

import io
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from amci.cli.output import Output
from amci.kernel.errors import AmciError, ConfigError, NotFound, Problem


class Printed:
    def __init__(self, *, as_json: bool = False) -> None:
        self.stdout, self.stderr = io.StringIO(), io.StringIO()
        self.out = Output(as_json=as_json, stdout=self.stdout, stderr=self.stderr)

    @property
    def lines(self) -> list[str]:
        return self.stdout.getvalue().splitlines()


ROWS = [
    {"name": "reach", "rows": 1200, "at": datetime(2026, 11, 1, 6, tzinfo=UTC), "more": [1]},
    {"name": "猫", "rows": None, "at": None, "more": []},
]


class Pieces(io.StringIO):
    """Remembers each piece that is written."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []

    def write(self, text: str) -> int:
        self.pieces.append(text)
        return super().write(text)


def test_a_line_is_written_in_one_piece_so_that_lines_of_threads_do_not_mix() -> None:
    stdout, stderr = Pieces(), Pieces()
    out = Output(stdout=stdout, stderr=stderr)
    out.text("run 1 heavy succeeded")
    out.note("run 2 heavy succeeded")
    out.record({"a": 1, "b": 2})
    out.rows(ROWS, ["name"])
    assert stdout.pieces
    assert all(piece.endswith("\n") for piece in stdout.pieces + stderr.pieces)


def test_rows_are_a_table_of_the_columns_asked_for_with_numbers_to_the_right() -> None:
    printed = Printed()
    printed.out.rows(ROWS, ["name", "rows", "at"])
    assert printed.lines == [
        "name   rows  at",
        "-----  ----  --------------------",
        "reach  1200  2026-11-01T06:00:00Z",
        "猫",
    ]


def test_json_rows_have_all_fields_with_times_in_utc() -> None:
    printed = Printed(as_json=True)
    printed.out.rows(ROWS, ["name"])
    printed.out.text("for people")
    assert json.loads(printed.stdout.getvalue()) == [
        {"name": "reach", "rows": 1200, "at": "2026-11-01T06:00:00.000000Z", "more": [1]},
        {"name": "猫", "rows": None, "at": None, "more": []},
    ]


def test_no_rows_are_said_in_words_or_an_empty_array() -> None:
    words, document = Printed(), Printed(as_json=True)
    for printed in (words, document):
        printed.out.rows([], ["name"], empty="no runs")
    assert words.lines == ["no runs"]
    assert json.loads(document.stdout.getvalue()) == []


def test_a_record_is_lines_for_people_or_one_object() -> None:
    record = {
        "day": date(2026, 11, 1),
        "local": datetime(2026, 11, 1, 6),  # noqa: DTZ001 - a time without zone, as a TIMESTAMP column has
        "took": timedelta(seconds=1.5),
        "cost": Decimal("1.10"),
        "raw": b"\xaa",
        "ok": True,
    }
    words, document = Printed(), Printed(as_json=True)
    words.out.record(record)
    document.out.record(record)
    assert words.lines[0] == "day: 2026-11-01"
    assert words.lines[-1] == "ok: true"
    assert json.loads(document.stdout.getvalue()) == {
        "day": "2026-11-01",
        "local": "2026-11-01T06:00:00",
        "took": 1.5,
        "cost": "1.10",
        "raw": "aa",
        "ok": True,
    }


@pytest.mark.parametrize("text", ["a\x1b[31mred", "bell\x07", "two\nlines", "back\rwards"])
def test_a_value_cannot_steer_the_terminal(text: str) -> None:
    printed = Printed()
    printed.out.table(["a"], [[text]])
    assert len(printed.lines) == 3
    assert all(line.isprintable() for line in printed.lines)


def test_an_error_is_said_on_stderr_with_its_hint() -> None:
    printed = Printed()
    printed.out.error(NotFound("no run 7", hint="`amci runs list` lists them"))
    assert printed.stderr.getvalue() == "amci: no run 7\nhint: `amci runs list` lists them\n"
    assert printed.lines == []


@pytest.mark.parametrize(
    ("error", "document"),
    [
        (NotFound("no run 7", hint="look"), {"error": "NotFound", "message": "no run 7", "hint": "look"}),
        (AmciError(), {"error": "AmciError", "message": "Something went wrong in amci.", "hint": ""}),
        (
            ConfigError([Problem("amci.yaml", "batch", "should be a number")]),
            {
                "error": "ConfigError",
                "message": "amci.yaml: batch: should be a number",
                "hint": "",
                "problems": [{"file": "amci.yaml", "field": "batch", "says": "should be a number"}],
            },
        ),
    ],
)
def test_an_error_in_json_has_its_kind_message_and_hint(
    error: AmciError, document: dict[str, object]
) -> None:
    printed = Printed(as_json=True)
    printed.out.error(error)
    assert json.loads(printed.stderr.getvalue()) == document


def test_progress_is_silent_where_stderr_is_no_terminal() -> None:
    printed = Printed()
    with printed.out.progress("draining") as tell:
        tell("7 files")
    assert printed.stderr.getvalue() == ""
