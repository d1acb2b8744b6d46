"""How many different queries may ask the same data about the same time, before the next would tell single users apart.

AMC's own limit is not public (amc-api 1.5, 3.3); a sandbox has none unless it is given a budget.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from amci.sandbox.options import BudgetOptions
from amci.sandbox.store import Store
from amci.sandbox.times import from_micros, micros

#: What is quoted, which is kept, or what only stands between words.
_BETWEEN = re.compile(r"""('(?:[^']|'')*'|"(?:[^"]|"")*")|(?:--[^\n]*|/\*.*?\*/|\s)+""", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """A query that was run: on which data sources, about which time (end not included), when."""

    instance_id: str
    sources: frozenset[str]
    start: datetime
    end: datetime
    fingerprint: str  #: the same for queries that must give the same result
    at: datetime

    def competes(self, other: Used) -> bool:
        """Whether both read a data source of the same instance in time windows that overlap."""
        return (
            self.instance_id == other.instance_id
            and not self.sources.isdisjoint(other.sources)
            and self.start < other.end
            and other.start < self.end
        )


def too_many(earlier: Sequence[Used], new: Used, budget: BudgetOptions) -> bool:
    """Whether a query is one too many; one that was run before tells nothing new and is always good."""
    if not budget.most:
        return False
    since = new.at - budget.within
    different = {used.fingerprint for used in earlier if used.competes(new) and since < used.at <= new.at}
    return new.fingerprint not in different and len(different) >= budget.most


def fingerprint(sql: str, values: Mapping[str, Any], start: datetime, end: datetime) -> str:
    """One for all executions that give the same result: the same text, values and time window.

    White space and comments do not matter; literals and values do, as they are what differencing varies.
    """
    text = _BETWEEN.sub(lambda found: found[1] or " ", sql).strip()
    told = json.dumps([text, values, start.isoformat(), end.isoformat()], sort_keys=True, default=str)
    return hashlib.sha256(told.encode()).hexdigest()


def refusal_text(workflow_execution_id: str, workflow_id: str) -> str:
    """AMC's words for an execution that is one too many."""
    return (
        f'Execution "{workflow_execution_id}" of workflow "{workflow_id}" could not be run because too many workflows'
        " have already been run against the same input data sources in the same or overlapping time windows."
    )


def remember(store: Store, used: Used) -> None:
    """Note that a query was run."""
    store.do(
        "keep_used",
        instance_id=used.instance_id,
        sources=json.dumps(sorted(used.sources)),
        start=micros(used.start),
        end=micros(used.end),
        fingerprint=used.fingerprint,
        at=micros(used.at),
    )


def remembered(store: Store, instance_id: str, since: datetime) -> Sequence[Used]:
    """The queries of an instance that were run after `since`."""
    rows = store.rows("used", instance_id=instance_id, since=micros(since))
    return [
        Used(
            instance_id=row["instance_id"],
            sources=frozenset(json.loads(row["sources"])),
            start=from_micros(row["window_start"]),
            end=from_micros(row["window_end"]),
            fingerprint=row["fingerprint"],
            at=from_micros(row["at"]),
        )
        for row in rows
    ]
