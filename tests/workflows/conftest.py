"""What tests of executions share: a desk with a state file, the sandbox in place of AMC, and a clock to turn."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from amci.kernel.config import AmcSettings
from amci.kernel.errors import AmciError, NoAccess
from amci.kernel.run import Failed, Outcome, RetryPolicy, Run
from amci.kernel.runs import RunStore
from amci.kernel.state import State
from amci.kernel.testing import FakeClock
from amci.sandbox.faults import InjectedFault
from amci.sandbox.options import SandboxInstance, SandboxOptions
from amci.sandbox.service import Sandbox
from amci.tenants.credentials import Credential, MemoryCredentials
from amci.tenants.model import Tenant
from amci.workflows.amazon.transport import InProcess
from amci.workflows.amc.client import AmcClient
from amci.workflows.amc.connections import Connections
from amci.workflows.amc.model import ExecutionRequest, TimeWindow, WindowType
from amci.workflows.definitions.definition import Workflow
from amci.workflows.executions.cancel import CancelHandler
from amci.workflows.executions.execute import ExecuteHandler
from amci.workflows.executions.handler_context import HandlerContext
from amci.workflows.executions.reconcile import ReconcileHandler
from amci.workflows.executions.run_factory import execute_run
from amci.workflows.executions.store import ExecutionRecord, ExecutionStore

MARKETPLACE = "ATVPDKIKX0DER"
SQL = "SELECT campaign, SUM(impressions) AS impressions FROM dsp_impressions GROUP BY 1"
WINDOW = TimeWindow(type=WindowType.EXPLICIT, start="2026-10-20T00:00:00", end="2026-10-21T00:00:00")
Answer = tuple[int, Mapping[str, str], bytes]
Overlay = Callable[[str, str], Answer | None]


def tenant(name: str, **values: Any) -> Tenant:
    return Tenant(
        **{
            "tenant": name,
            "instance_id": f"amc{name}",
            "advertiser_id": f"ENTITY{name.upper()}",
            "marketplace_id": MARKETPLACE,
        }
        | values
    )


def outcomes(handler: Any, runs: Sequence[Run]) -> Mapping[int, Outcome]:
    """As the worker has them: what a handler raises is the error of its one run; a batch is halved before."""
    try:
        return handler.handle(runs)
    except Exception as error:  # noqa: BLE001 - as the worker does
        if len(runs) > 1 and not isinstance(error, AmciError):
            middle = len(runs) // 2
            return {**outcomes(handler, runs[:middle]), **outcomes(handler, runs[middle:])}
        return {run.run_id: Failed(error) for run in runs}


class AmazonsClock(FakeClock):
    """Amazon's clock is right, also while ours is ahead by an error."""

    def __init__(self, ours: FakeClock) -> None:
        super().__init__()
        self.ours, self.error = ours, timedelta()

    def now(self) -> datetime:
        return self.ours.now() - self.error


class Desk:
    """Everything one execution needs, on one clock."""

    def __init__(
        self, folder: Path, events: Path, *, settings: Mapping[str, Any], options: Mapping[str, Any]
    ) -> None:
        self.clock = FakeClock()
        self.amazons_clock = AmazonsClock(self.clock)
        self.raw = folder / "raw"
        self.settings = AmcSettings.model_validate({"mode": "sandbox", **settings})
        self.tenants = {name: tenant(name) for name in ("acme", "bolt")}
        self.workflows = {"reach": Workflow(workflow_id="reach", sql=SQL)}
        instances = tuple(
            SandboxInstance(
                instance_id=t.instance_id, entity_id=t.advertiser_id, marketplace_id=MARKETPLACE, name=name
            )
            for name, t in self.tenants.items()
        )
        (folder / "sandbox").mkdir(parents=True)
        # All sandboxes have the same few events, which take a while to make.
        (folder / "sandbox" / "events").symlink_to(events)
        told = SandboxOptions(instances=instances, scale=0.001, days=20, **options)
        self.sandbox = Sandbox(folder / "sandbox", self.amazons_clock, told)
        self.overlay: Overlay = lambda _method, _url: None
        self.words: dict[bytes, bytes] = {}  #: in AMC's answers, replaced
        self.asked: list[str] = []
        self.refusals: dict[str, NoAccess] = {}  #: why AMC is not asked, by tenant
        self.on_delivered: Callable[[Tenant, Sequence[str]], None] = lambda _tenant, _keys: None
        self.state = State.open(folder / "amci.db", self.clock)
        self.runs = RunStore(self.state, self.clock, retry={Exception: RetryPolicy(max_attempts=2)})
        self.executions = ExecutionStore(self.state, self.clock)
        self.connections = self.connect()
        self._keys = itertools.count(1)
        for t in self.tenants.values():
            self.runs.set_pool(t.pool, t.slots)
            self.client(t.tenant).put_workflow({"workflowId": "reach", "sqlQuery": SQL})
        self.asked.clear()

    def connect(self) -> Connections:
        return Connections(
            self.settings,
            MemoryCredentials({"default": Credential("id", "secret", "token")}),
            self.clock,
            transport=InProcess(self._respond),
            base_url="http://amc.test",
            pause=self.clock.turn,
        )

    def _respond(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        self.asked.append(f"{method} {url.removeprefix('http://amc.test').partition('?')[0]}")
        status, answered, said = self.overlay(method, url) or self.sandbox.respond(method, url, headers, body)
        for old, new in self.words.items():
            said = said.replace(old, new)
        return status, answered, said

    def close(self) -> None:
        self.connections.close()
        self.state.close()
        self.sandbox.close()

    def client(self, name: str = "acme") -> AmcClient:
        return self.connections.client(self.tenants[name])

    def handlers(self) -> list[Any]:
        shared = HandlerContext(
            executions=self.executions,
            clients=self.connections.client,
            tenants=self.tenants,
            settings=self.settings,
            clock=self.clock,
            queue=self.runs.create,
            no_access=lambda of: self.refusals.get(of.tenant),
        )
        return [
            ExecuteHandler(
                shared,
                workflows=self.workflows,
                folder_of=lambda t: self.raw / t.tenant,
                on_delivered=self.on_delivered,
            ),
            CancelHandler(shared),
            ReconcileHandler(shared),
        ]

    def work(self) -> None:
        """Do what is due now, one claim after another: the clock stands still meanwhile."""
        self.runs.correct_waits()
        handlers = self.handlers()
        while any(self._turn(handler) for handler in handlers):
            pass

    def finish(self) -> None:
        """Let time pass until nothing waits any more."""
        kinds = [handler.kind for handler in self.handlers()]
        self.work()
        while due := self.runs.next_due(kinds, self.clock.now()):
            self.clock.turn(due - self.clock.now())
            self.work()

    def _turn(self, handler: Any) -> bool:
        runs = self.runs.claim((handler.kind,), "w", timedelta(hours=99), handler.batch)
        if runs:
            self.runs.finish(runs, outcomes(handler, runs))
        return bool(runs)

    def turn(self, **by: float) -> None:
        self.clock.turn(timedelta(**by))

    def set_clock(self, error: timedelta) -> None:
        """Let our clock be wrong by so much, and Amazon's be right."""
        self.clock.turn(error - self.amazons_clock.error)
        self.amazons_clock.error = error

    def ask(self, name: str = "acme", *, key: str = "", at: datetime | None = None, **request: Any) -> int:
        """A run for one execution; its id."""
        key = key or f"exec:{next(self._keys)}"
        asked = ExecutionRequest(**{"workflow_id": "reach", "window": WINDOW} | request)
        self.runs.create([execute_run(self.tenants[name], asked, key=key, at=at or self.clock.now())])
        return next(run.run_id for run in self.runs.list(limit=-1) if run.idempotency_key == key)

    def row(self, run_id: int) -> ExecutionRecord:
        """The newest attempt of a run."""
        return self.executions.of_run(run_id)[0]

    def run(self, run_id: int) -> Run:
        return self.runs.get(run_id)

    def fault(self, kind: Any, method: str = "*", path: str = "*/workflowExecutions*", **more: Any) -> None:
        self.sandbox.faults.add(InjectedFault(kind, method, path, **more))

    def in_amc(self, name: str = "acme") -> list[Any]:
        """All executions AMC has, oldest first."""
        return list(self.client(name).executions(self.clock.now() - timedelta(days=30)))[::-1]

    def files(self) -> list[str]:
        """Results in raw/, without their notes."""
        found = (path.relative_to(self.raw).as_posix() for path in self.raw.rglob("*") if path.is_file())
        return sorted(key for key in found if "/." not in key)

    def note(self, key: str) -> dict[str, Any]:
        """The note beside a result."""
        path = self.raw / key
        found: dict[str, Any] = json.loads(path.with_name(f".{path.name}.meta.json").read_bytes())
        return found

    def posts(self) -> int:
        """How often an execution was asked for."""
        return sum(
            asked.startswith("POST ") and asked.endswith("/workflowExecutions") for asked in self.asked
        )


@pytest.fixture(scope="session")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the sandboxes' events are made once."""
    return tmp_path_factory.mktemp("events")


@pytest.fixture
def desk_of(tmp_path: Path, events: Path) -> Iterator[Callable[..., Desk]]:
    """Makes a desk with settings of its own."""
    made: list[Desk] = []

    def make(options: Mapping[str, Any] | None = None, **settings: Any) -> Desk:
        desk = Desk(tmp_path / f"desk{len(made)}", events, settings=settings, options=options or {})
        made.append(desk)
        return desk

    yield make
    for desk in made:
        desk.close()


@pytest.fixture
def desk(desk_of: Callable[..., Desk]) -> Desk:
    return desk_of(options={"running": timedelta(minutes=2)})
