"""What one writes without amci: create executions, poll each one, download the results into files; no lake."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

Tenant = Mapping[str, str]

_THREADS = 16


class PlainClient:
    """A login, a connection pool, and the calls a script needs."""

    def __init__(self, base_url: str, transport: httpx.BaseTransport | None = None) -> None:
        self.http = httpx.Client(base_url=base_url, timeout=30, transport=transport)
        form = {"grant_type": "refresh_token", "refresh_token": "x", "client_id": "x", "client_secret": "x"}
        token = self.http.post("/auth/o2/token", data=form).raise_for_status().json()["access_token"]
        self.headers = {"Authorization": f"Bearer {token}", "Amazon-Advertising-API-ClientId": "x"}

    def put_workflow(self, tenant: Tenant, definition: Mapping[str, Any]) -> None:
        self._send("POST", tenant, "/workflows", definition)

    def create(self, tenant: Tenant, body: Mapping[str, Any]) -> str:
        found = self._send("POST", tenant, "/workflowExecutions", body)
        return str(found.get("workflowExecution", found)["workflowExecutionId"])

    def status(self, tenant: Tenant, execution_id: str) -> str:
        found = self._send("GET", tenant, f"/workflowExecutions/{execution_id}")
        return str(found.get("workflowExecution", found)["status"])

    def download(self, tenant: Tenant, execution_id: str, folder: Path) -> None:
        links = self._send("GET", tenant, f"/workflowExecutions/{execution_id}/downloadUrls")["downloadUrls"]
        for number, link in enumerate(links):
            file = folder / f"{execution_id}-{number}.csv"
            with self.http.stream("GET", link) as answer, file.open("wb") as out:
                answer.raise_for_status()
                for part in answer.iter_bytes():
                    out.write(part)

    def _send(self, method: str, tenant: Tenant, path: str, body: Any = None) -> dict[str, Any]:
        account = {
            "Amazon-Advertising-API-AdvertiserId": tenant["advertiser_id"],
            "Amazon-Advertising-API-MarketplaceId": tenant["marketplace_id"],
        }
        url = f"/amc/reporting/{tenant['instance_id']}{path}"
        answer = self.http.request(method, url, json=body, headers=self.headers | account)
        return dict(answer.raise_for_status().json())


def fetch_all(client: PlainClient, plan: Mapping[str, Any], folder: Path) -> None:
    """All executions in flight at once, as many requests at a time as there are threads."""
    folder.mkdir(parents=True)
    asked = [(tenant, request) for request in plan["requests"] for tenant in plan["tenants"]]

    def created(one: tuple[Tenant, Mapping[str, Any]]) -> tuple[Tenant, str]:
        return one[0], client.create(*one)

    def is_done(execution: tuple[Tenant, str]) -> bool:
        status = client.status(*execution)
        if status == "SUCCEEDED":
            client.download(*execution, folder)
        elif status not in ("PENDING", "RUNNING", "PUBLISHING"):
            raise RuntimeError(f"{execution[1]} is {status}")
        return status == "SUCCEEDED"

    with ThreadPoolExecutor(_THREADS) as pool:
        waiting = list(pool.map(created, asked))
        while waiting:
            time.sleep(plan["pause"])
            done = list(pool.map(is_done, waiting))
            waiting = [execution for execution, is_there in zip(waiting, done, strict=True) if not is_there]


@contextmanager
def client_of(plan: Mapping[str, Any]) -> Iterator[PlainClient]:
    """A client of the sandbox that is served, or of one in this process."""
    if plan["url"]:
        yield PlainClient(plan["url"])
        return
    from amci.app.amc_connection import sandbox_options
    from amci.app.project import load
    from amci.kernel.clock import SystemClock
    from amci.kernel.workspace import WorkspacePaths
    from amci.sandbox.service import Sandbox
    from amci.workflows.amazon.transport import InProcess

    workspace = WorkspacePaths(Path(plan["home"]))
    sandbox = Sandbox(workspace.sandbox, SystemClock(), sandbox_options(load(workspace, {})))
    try:
        yield PlainClient("http://sandbox", InProcess(sandbox.respond))
    finally:
        sandbox.close()


def prepare(client: PlainClient, plan: Mapping[str, Any], folder: Path) -> None:
    """Save the workflows for every tenant, and have each result made once."""
    for tenant in plan["tenants"]:
        for workflow in plan["workflows"]:
            client.put_workflow(tenant, workflow)
    with TemporaryDirectory(dir=folder) as temporary:
        fetch_all(client, {**plan, "requests": plan["different"]}, Path(temporary) / "warm")


def main() -> None:
    """Do what a plan says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("plan", type=Path)
    parser.add_argument("--prepare", action="store_true")
    asked = parser.parse_args()
    plan = json.loads(asked.plan.read_text())
    home = Path(plan["home"])
    with client_of(plan) as client:
        if asked.prepare:
            prepare(client, plan, home)
        else:
            fetch_all(client, plan, home / "results")


if __name__ == "__main__":
    main()
