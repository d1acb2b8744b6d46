"""Long SQL does not keep others waiting, and very long SQL is refused."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from .calling import Caller

FROM = "FROM dsp_impressions"
LONG = f"SELECT campaign, SUM(impressions) AS i {FROM} WHERE campaign IN ({{}}) GROUP BY 1"


def sql_of(size: int) -> str:
    """SQL of that many bytes."""
    text = LONG.format(", ".join(f"'c{i:06}'" for i in range(size // 11)))
    return text + " " * (size - len(text))


WAYS: dict[str, Any] = {
    "a workflow": lambda amc, sql: amc.workflow("long", sql),
    "a change": lambda amc, sql: amc.ask("PUT", "/workflows/reach", {"sqlQuery": sql}),
    "a wrapped workflow": lambda amc, sql: amc.ask(
        "POST", "/workflows", {"workflow": {"workflowId": "long", "sqlQuery": sql}}
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_sql_that_is_too_long_is_refused(amc: Caller, way: str) -> None:
    assert WAYS[way](amc, sql_of(249_900)).status == 200
    amc.ask("DELETE", "/workflows/long")
    answer = WAYS[way](amc, sql_of(250_001))
    assert answer.status == 400
    assert "longer than 250000 bytes" in answer.details


def test_an_execution_of_sql_that_is_too_long_is_rejected(amc: Caller) -> None:
    execution = amc.execute(sqlQuery=sql_of(900_000))
    assert amc.status(execution) in ("REJECTED", "FAILED")
    assert "longer than 250000 bytes" in str(amc.execution(execution))


@pytest.mark.parametrize("way", [*WAYS, "an execution"])
def test_others_are_answered_while_long_sql_is_read(amc: Caller, way: str) -> None:
    ways = WAYS | {"an execution": lambda amc, sql: amc.ask("POST", "/workflowExecutions", {"sqlQuery": sql})}
    queries = amc.sandbox.backend.queries
    read = queries._read
    begun, answered = threading.Event(), threading.Event()

    def reading(*given: Any) -> Any:
        begun.set()
        assert answered.wait(30), "nobody was answered meanwhile"
        return read(*given)

    queries._read = reading  # type: ignore[assignment]
    results = []
    thread = threading.Thread(target=lambda: results.append(ways[way](amc, sql_of(20_000))))
    thread.start()
    assert begun.wait(30)
    assert amc.ask("GET", "/workflows").status == 200
    answered.set()
    thread.join()
    assert results[0].status == 200
