"""The same executions as runs of amci: put in line, done, fetched, loaded into the lake."""

from __future__ import annotations

import argparse
import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from amci.app.engine import open_engine
from amci.kernel.clock import SystemClock
from amci.kernel.run import NewRun
from amci.kernel.workspace import WorkspacePaths
from amci.tenants.model import Tenant
from amci.workflows.amc.model import ExecutionRequest, TimeWindow, WindowType
from amci.workflows.executions.run_factory import execute_run


def runs(plan: Mapping[str, Any], tenants: Mapping[str, Tenant]) -> list[NewRun]:
    """A run for each request and tenant of a plan."""
    at = SystemClock().now()
    return [
        execute_run(tenant, _request(asked), key=f"bench:{n}:{tenant.tenant}", at=at)
        for n, asked in enumerate(plan["requests"])
        for tenant in tenants.values()
    ]


def _request(asked: Mapping[str, Any]) -> ExecutionRequest:
    return ExecutionRequest(
        workflow_id=asked["workflowId"],
        window=TimeWindow(
            type=WindowType.EXPLICIT, start=asked["timeWindowStart"], end=asked["timeWindowEnd"]
        ),
        parameter_values=asked["parameterValues"],
    )


def main() -> None:
    """Do what a plan says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("plan", type=Path)
    plan = json.loads(parser.parse_args().plan.read_text())
    with open_engine(WorkspacePaths(Path(plan["home"])), SystemClock(), {}) as engine:
        engine.runs.create(runs(plan, engine.project.tenants))
        engine.drain(threading.Event())


if __name__ == "__main__":
    main()
