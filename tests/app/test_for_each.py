"""Schedules with `for_each`: one execution for each row of a query, all of a fire's or none."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from amci.app.handlers import amc_handlers
from amci.kernel.errors import AmciError, ConfigError
from amci.kernel.run import Failed, Run, RunStatus

SCHEDULE = """
schedule: each
expression: rate(1 day)
workflow: reach
tenants: [acme]
for_each: SELECT campaign, since, until FROM adtech_d.t ORDER BY campaign
parameters: {campaign: ":campaign"}
window: {type: EXPLICIT, start: ":since", end: ":until"}
"""
WORKFLOW = """
workflowId: reach
sqlQuery: SELECT CUSTOM_PARAMETER('campaign') AS c FROM dsp_impressions
inputParameters: [{name: campaign, dataType: STRING}]
"""
ROWS = "campaign,since,until\n00A,2026-10-01,2026-10-08\n00B,2026-10-08,2026-10-15\n"


@pytest.fixture(scope="module")
def site(site_of: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    site = site_of(tmp_path_factory.mktemp("each") / "w")
    site.settings("amc: {mode: sandbox}\n")
    site.configure(
        "tenants/acme.yaml",
        "tenant: acme\ninstance_id: amcacme1\nadvertiser_id: ENTITYACME\nmarketplace_id: ATVPDKIKX0DER\n",
    )
    site.dataset("d")
    site.configure("workflows/reach.yaml", WORKFLOW)
    site.configure("schedules/each.yaml", SCHEDULE)
    site.put("adtech/d/t/plan.csv", ROWS)
    site.drain()
    return site


def fired(site: Any, **changed: str) -> tuple[Run, list[Run]]:
    """The run of a fire of the schedule, its lines changed, after one try, and the executions it made."""
    lines = [line for line in SCHEDULE.splitlines() if line.partition(":")[0] not in changed]
    text = "\n".join([*lines, *(f"{name}: {value}" for name, value in changed.items())])
    site.configure("schedules/each.yaml", text)
    site.clock.turn(timedelta(seconds=1))
    with site.engine() as engine:
        engine.runs.cancel(run.run_id for run in engine.runs.list(kind="for_each") if not run.status.is_final)
        key = engine.session.scheduler.fire("each")
        handler = next(
            h for h in amc_handlers(engine.session, engine.router, engine.ingest) if h.kind == "for_each"
        )
        taken = engine.runs.claim(["for_each"], "w", timedelta(hours=1))
        try:
            outcomes = handler.handle(taken)
        except AmciError as error:  # as the worker does
            outcomes = {taken[0].run_id: Failed(error)}
        engine.runs.finish(taken, outcomes)
        (run,) = engine.runs.by_keys([key])
        return run, [each for each in engine.runs.list(kind="execute") if each.parent_run_id == run.run_id][
            ::-1
        ]


def end(site: Any) -> None:
    """Cancel what is open."""
    with site.engine() as engine:
        engine.runs.cancel(run.run_id for run in engine.runs.list(limit=-1) if not run.status.is_final)


def test_each_row_is_an_execution_with_its_values(site: Any) -> None:
    run, made = fired(site)
    assert run.status is RunStatus.SUCCEEDED, run.reason
    assert run.result == {"rows": 2, "executions": 2, "left_out": []}
    asked = [each.payload["request"] for each in made]
    assert [(a["parameter_values"], a["window"]["start"][:10], a["window"]["end"][:10]) for a in asked] == [
        ({"campaign": "00A"}, "2026-10-01", "2026-10-08"),
        ({"campaign": "00B"}, "2026-10-08", "2026-10-15"),
    ]
    assert [(each.payload["schedule"], bool(each.pool), each.tenant_id) for each in made] == [
        ("each", True, "acme")
    ] * 2
    assert {each.correlation_id for each in made} == {run.idempotency_key}
    # The next fire asks again, when those have ended.
    assert fired(site)[0].status is RunStatus.PENDING
    run, made = fired(site, overlap="skip")
    assert (run.status, made) == (RunStatus.SKIPPED, [])
    assert "have not ended" in str(run.reason)
    assert len(fired(site, overlap="allow")[1]) == 2
    end(site)
    assert len(fired(site)[1]) == 2
    end(site)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"for_each": "SELECT nope FROM adtech_d.t"}, "schedule each: its query failed: Binder Error"),
        ({"for_each": "DROP TABLE adtech_d.t"}, "schedule each: its query failed"),
        ({"for_each": "SELECT campaign FROM adtech_d.t"}, "the query has no column 'since'"),
        (
            {"for_each": "SELECT NULL AS campaign, since, until FROM adtech_d.t"},
            "row 1 has no value in column",
        ),
        ({"most": "1"}, "its query has more than 1 rows, so nothing was executed"),
    ],
)
def test_a_query_that_fails_fails_the_fire(site: Any, changed: dict[str, str], says: str) -> None:
    run, made = fired(site, **changed)
    assert (run.status, made) == (RunStatus.FAILED, [])
    assert says in str(run.reason)


def test_a_query_without_rows_executes_nothing(site: Any) -> None:
    run, made = fired(site, for_each="SELECT campaign, since, until FROM adtech_d.t WHERE false")
    assert (run.status, made, run.result["rows"]) == (RunStatus.SUCCEEDED, [], 0)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('{campaign: ":campaign"}', '{campagne: ":campaign"}', "no parameter 'campagne'"),
        ('{campaign: ":campaign"}', "{}", "parameter campaign has no value"),
        ("workflow: reach", "run: compact", "for_each"),
        (
            "for_each: SELECT campaign, since, until FROM adtech_d.t ORDER BY campaign",
            "most: 3",
            "only with for_each",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(
    site: Any, tmp_path: Path, old: str, new: str, says: str
) -> None:
    assert old in SCHEDULE
    site.configure("schedules/each.yaml", SCHEDULE.replace(old, new))
    with pytest.raises(ConfigError) as raised, site.engine():
        pass
    site.configure("schedules/each.yaml", SCHEDULE)
    assert says in "\n".join(map(str, raised.value.problems))
