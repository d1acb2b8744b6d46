"""The queries of the benches of AMC SQL: the seventeen use cases of config/, and the skeletons of the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from amci.amcsql.privacy.thresholds import Privacy
from amci.amcsql.query import Compiled, Query as AmcQuery
from amci.amcsql.sources import tables_for
from amci.kernel.errors import ConfigError, Problem
from amci.tenants.model import Tenant
from amci.workflows.definitions import library
from amci.workflows.definitions.definition import amc_definition

ROOT = Path(__file__).parent.parent
WORKFLOWS = ROOT / "config" / "workflows"
_SKELETONS = ROOT / "tests" / "amcsql" / "skeletons.sql"
#: Last day of the events of every world; the clock has no say in what is measured.
LAST = date(2026, 10, 25)
_TENANT = Tenant(tenant="bench", instance_id="amcbench")
#: What the skeletons ask for.
_ASINS = {
    "name": "asins",
    "dataType": {"type": "ARRAY", "elementDataType": "STRING"},
    "defaultValue": ["B0NWTENT01"],
}

Window = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """AMC SQL with what an execution of it says."""

    name: str
    sql: str
    declared: Sequence[Mapping[str, Any]]
    privacy: Privacy | None = None
    is_for_audiences: bool = False

    def compiled(self, window: Window) -> Compiled:
        """For DuckDB, over all people, with the parameters' defaults."""
        query = AmcQuery.of(
            self.sql,
            tables_for("audience" if self.is_for_audiences else "workflow"),
            declared=self.declared,
            controls="comparisons" if self.is_for_audiences else "all",
        )
        return query.compile(window, window[1], privacy=self.privacy)


def window(days: int) -> Window:
    """The last `days` days of events."""
    end = datetime.combine(LAST, time(tzinfo=UTC)) + timedelta(days=1)
    return end - timedelta(days=days), end


def use_cases() -> list[Query]:
    """The use cases of config/workflows/; raises ConfigError."""
    problems: list[Problem] = []
    found = library.read(WORKFLOWS, problems, lambda path: path.name)
    if problems:
        raise ConfigError(problems)
    return [
        Query(
            name=name,
            sql=workflow.sql,
            declared=amc_definition(workflow, _TENANT)["inputParameters"],
            privacy=Privacy(discriminator=workflow.filtered_metrics_discriminator_column),
        )
        for name, workflow in found.items()
        if "use-case" in workflow.tags
    ]


def skeletons() -> list[Query]:
    """The reference's short forms of the use cases."""
    found = []
    for text in _SKELETONS.read_text().split("-- U")[1:]:
        title, sql = text.split("\n", 1)
        is_for_audiences = "_for_audiences" in sql
        found.append(
            Query(
                name=f"U{title}",
                sql=sql.strip().removesuffix(";"),
                declared=[_ASINS],
                privacy=None if is_for_audiences else Privacy(),
                is_for_audiences=is_for_audiences,
            )
        )
    return found
