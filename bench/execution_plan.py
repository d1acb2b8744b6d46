"""Workspaces for benches of executions: tenants, a workflow, and a sandbox that has made every result before."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

#: So many workflows with so many values each: no two requests at one time are equal. The workflows are, so that
#: the sandbox, which keeps what it has made, has little to do.
_WORKFLOWS, _VALUES = 10, 10
#: Executions of a tenant at one time; AMC itself has ten.
_SLOTS = 100
_SQL = """\
SELECT impression_date_utc, campaign, SUM(impressions) AS impressions, SUM(total_cost) / 100000 AS cost
FROM dsp_impressions
GROUP BY 1, 2
HAVING SUM(impressions) >= CUSTOM_PARAMETER('least')
"""
_SETTINGS = """\
name: bench
amc:
  mode: sandbox
  account_slots: {slots}
  poll_first: {pause}s
  poll_longest: {longest}s
  sandbox: {{url: "{url}", running: {running}s}}
"""


def template(
    home: Path, *, tenants: int, each: int, pause: float = 0.25, longest: float = 2.0, running: float = 0.0
) -> None:
    """A workspace in which each of `tenants` asks for `each` executions; nothing is asked yet.

    `pause`, `longest` and `running` are seconds: the first and longest pause between two looks, and how long
    the sandbox works on an execution.
    """
    shutil.rmtree(home, ignore_errors=True)
    names = [f"reach{n}" for n in range(_WORKFLOWS)]
    made = [_tenant(n) for n in range(1, tenants + 1)]
    for tenant in made:
        _write(
            home / "config" / "tenants" / f"{tenant['tenant']}.yaml",
            tenant | {"slots": _SLOTS, "shared_workflows": names},
        )
    parameter = {"name": "least", "dataType": "INTEGER", "columnType": "DIMENSION"}
    for name in names:
        _write(home / "config" / "workflows" / f"{name}.yaml", {"inputParameters": [parameter], "sql": _SQL})
    plan = {
        "tenants": made,
        "requests": [_request(n) for n in range(each)],
        "different": [_request(n * _WORKFLOWS) for n in range(_VALUES)],
        "workflows": [
            {"workflowId": name, "sqlQuery": _SQL, "inputParameters": [parameter]} for name in names
        ],
        "slots": tenants * _SLOTS,
        "pause": pause,
        "longest": longest,
        "running": 0.0,
    }
    _write(home / "plan.json", plan)
    warm = aim(home)
    # Another process: this one stays as small as the clients it starts.
    subprocess.run([sys.executable, "-m", "bench.plain_client", str(warm), "--prepare"], check=True)
    _write(home / "plan.json", plan | {"running": running})


def fresh(home: Path) -> Path:
    """A copy of a template, to be used once."""
    copy = home.with_name(f"{home.name}-run")
    shutil.rmtree(copy, ignore_errors=True)
    return shutil.copytree(home, copy)


def aim(home: Path, url: str = "") -> Path:
    """Point plan and settings at the sandbox at `url`, or at one in the process; the plan."""
    plan = read(home / "plan.json") | {"home": str(home), "url": url}
    _write(home / "plan.json", plan)
    (home / "amci.yaml").write_text(_SETTINGS.format(**plan))
    return home / "plan.json"


def read(path: Path) -> dict[str, Any]:
    """A plan."""
    return dict(json.loads(path.read_text()))


def _tenant(number: int) -> dict[str, Any]:
    return {
        "tenant": f"t{number:02}",
        "instance_id": f"amcbench{number:02}",
        "advertiser_id": "ENTITYBENCH",
        "marketplace_id": "ATVPDKIKX0DER",
    }


def _request(number: int) -> dict[str, Any]:
    """One of those the sandbox has the answers to."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    start, end = (f"{today - timedelta(days=days):%Y-%m-%dT%H:%M:%S}" for days in (9, 2))
    return {
        "workflowId": f"reach{number % _WORKFLOWS}",
        "timeWindowType": "EXPLICIT",
        "timeWindowStart": start,
        "timeWindowEnd": end,
        "parameterValues": {"least": number // _WORKFLOWS % _VALUES},
    }


def _write(path: Path, document: Mapping[str, Any]) -> None:
    """JSON, which is YAML too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
