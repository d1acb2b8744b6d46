"""Many threads at once, switched after every few instructions, give what one thread gives.

What threads share is listed in `test_shared_state.py`; here it is put to the test with long input.
"""

from __future__ import annotations

import itertools
import json
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import amci
from amci.amcsql.grammar import parsing
from amci.amcsql.grammar.formatting import formatted
from amci.amcsql.patterns import java_regex
from amci.amcsql.privacy.thresholds import Privacy
from amci.amcsql.query import Query
from amci.amcsql.sources import tables_for
from amci.amcsql.tools.linting import lint
from amci.app.engine import Engine
from amci.app.session import open_session
from amci.kernel.errors import WorkspaceBusy
from amci.kernel.run import NewRun, Run
from amci.kernel.state import State
from amci.lake.upkeep.tasks import UPKEEP
from amci.scheduler.due import Timetable
from amci.scheduler.model import FireRun, Schedule
from amci.workflows.amc.model import ExecutionRequest, TimeWindow, WindowType
from amci.workflows.definitions import sql
from amci.workflows.definitions.definition import amc_definition
from amci.workflows.definitions.run_factory import Action, definition_hash, workflow_run
from amci.workflows.executions.cancel import cancel_run
from amci.workflows.executions.reconcile import reconcile_run
from amci.workflows.executions.run_factory import execute_run
from amci.workflows.provisioning.provision import provision_run

THREADS = 8
WINDOW = (datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 10, 8, tzinfo=UTC))
NOW = datetime(2026, 11, 1, tzinfo=UTC)
AMC_WINDOW = TimeWindow(type=WindowType.EXPLICIT, start="2026-10-20T00:00:00", end="2026-10-21T00:00:00")


@pytest.fixture(autouse=True)
def _frequent_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def long_sql(number: int, columns: int = 25) -> str:
    """A query of many tokens like no other one, with comments and strings that look like each other's."""
    cases = "\n".join(
        f"  , SUM(CASE WHEN campaign = 'c{number}; -- {n} ''quoted''' THEN impressions ELSE 0 END) AS n_{number}_{n}"
        f" -- column {n} of {number}"
        for n in range(columns + number % 7)
    )
    rest = f"FROM dsp_impressions WHERE impressions > {number} GROUP BY campaign"
    return f"/* query {number} */ SELECT campaign\n{cases}\n{rest}"


TEXTS = [long_sql(number) for number in range(16)]


def compiled(text: str) -> Any:
    query = Query.of(text, tables_for("workflow"))
    made = query.compile(WINDOW, NOW, privacy=Privacy(), instance_id="amcacme")
    return query.findings, made.plain, made.guarded, made.outputs[0].name, made.notices


def positions(text: str) -> Any:
    return [(token.token_type, token.text, token.start, token.end) for token in sql.tokens(text)]


ASK: dict[str, Callable[[str], Any]] = {
    "tokens": positions,
    "sent": sql.as_sent,
    "hash": sql.sql_hash,
    "fault": sql.fault,
    "definition": lambda text: definition_hash({"workflowId": "w", "sqlQuery": text}),
    "parse": lambda text: repr(parsing.parsed(text)),
    "read": lambda text: repr(parsing.read(text, "strict")),
    "tokens of AMC": lambda text: [(token.token_type, token.text) for token in parsing.tokens_of(text)],
    "for audiences": parsing.refused_for_audiences,
    "format": formatted,
    "check": lambda text: lint(Query.of(text, tables_for("workflow"), reads_on=True)),
    "compile": compiled,
}


def forget() -> None:
    for cached in (parsing.parsed, parsing.tokens_of, java_regex.java_pattern, java_regex.compiled):
        cached.cache_clear()


def together(ask: Callable[[Any], Any], inputs: Sequence[Any]) -> list[Any]:
    """All inputs at once, the first of each thread at the same moment."""
    threads = min(THREADS, len(inputs))
    begin = threading.Barrier(threads)
    waiting = threading.local()

    def first(value: Any) -> Any:
        if not hasattr(waiting, "done"):
            waiting.done = True
            begin.wait()
        return ask(value)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(first, inputs))


@pytest.mark.spread(3)
@pytest.mark.parametrize("name", ASK)
def test_every_function_of_amc_sql(name: str) -> None:
    forget()
    found = together(ASK[name], TEXTS)
    forget()
    assert found == [ASK[name](text) for text in TEXTS]


def test_all_functions_of_amc_sql_on_the_same_texts_at_once() -> None:
    asked = [(name, text) for text in TEXTS[:3] for name in ASK]
    forget()
    found = together(lambda pair: ASK[pair[0]](pair[1]), asked)
    forget()
    assert found == [ASK[name](text) for name, text in asked]


def test_a_query_that_threads_share() -> None:
    query = Query.of(TEXTS[0], tables_for("workflow"))
    tree = repr(parsing.parsed(TEXTS[0]))
    windows = [(WINDOW[0] - timedelta(days=n), WINDOW[1]) for n in range(THREADS * 2)]

    def ask(window: tuple[datetime, datetime]) -> Any:
        made = query.compile(window, NOW, privacy=Privacy())
        return made.plain, made.guarded

    assert together(ask, windows) == [ask(window) for window in windows]
    # What is cached is as it was.
    assert repr(parsing.parsed(TEXTS[0])) == tree


def test_patterns_and_schedules() -> None:
    patterns = [f"^(?:a{n}|[b-d]{{{n},{n + 1}}})\\p{{Alpha}}*$" for n in range(40)] * 3

    def ask(pattern: str) -> Any:
        made = java_regex.compiled(pattern)
        return java_regex.java_pattern(pattern), made.pattern, made.flags

    forget()
    found = together(ask, patterns)
    forget()
    assert found == [ask(pattern) for pattern in patterns]
    assert len(set(map(repr, found))) == 40
    crons = [f"cron({minute} 6 ? * MON-FRI *)" for minute in range(60)] * 2

    def fires(text: str) -> Any:
        schedule = Schedule(schedule_id="s", expression=text, run=FireRun(kind="k"))
        return list(itertools.islice(Timetable.of(schedule).fires(WINDOW[0]), 20))

    assert together(fires, crons) == [fires(text) for text in crons]


# ---- sessions


def test_ways_to_amc_are_made_once(amc: Any) -> None:
    for _ in range(10):
        with open_session(amc.workspace, amc.clock, {}) as session:
            tenant = session.project.tenants["acme"]
            clients = together(
                lambda _, session=session, tenant=tenant: session.client(tenant), range(THREADS)
            )
            assert len({id(client) for client in clients}) == 1


def test_a_state_file_that_threads_share(tmp_path: Path, amc: Any) -> None:
    with State.open(tmp_path / "s.db", amc.clock) as state, State.open(tmp_path / "s.db", amc.clock) as other:
        state.has_foreign_changes()
        other.write("INSERT INTO pools (pool, size) VALUES ('a', 1)")
        # Whoever asks first hears of it; never nobody, and never two.
        assert together(lambda _: state.has_foreign_changes(), range(THREADS)).count(True) == 1


# ---- handlers


REACH = "SELECT campaign, SUM(impressions) AS impressions FROM dsp_impressions GROUP BY 1"
NAMES = ("acme", "bolt")
WORKFLOWS = 4
FILES = 4


@pytest.fixture
def hook() -> Iterator[str]:
    """A web server that takes notices."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def configured(site: Any, hook: str = "") -> Any:
    settings = (
        "amc: {mode: sandbox, poll_first: 0s, poll_longest: 0s, adopt_within: 0s, sandbox: {scale: 0.002}}\n"
    )
    notify = f"notify: [{{kind: webhook, url: '{hook}', events: [failed, skipped, succeeded]}}]\n"
    site.settings("")
    text = site.workspace.settings_file.read_text().replace(
        "notify: []\n", notify if hook else "notify: []\n"
    )
    site.workspace.settings_file.write_text(text + settings)
    for name in NAMES:
        ids = (
            f"instance_id: amc{name}001\nadvertiser_id: ENTITY{name.upper()}\nmarketplace_id: ATVPDKIKX0DER\n"
        )
        site.configure(f"tenants/{name}.yaml", f"tenant: {name}\n{ids}")
    for number in range(WORKFLOWS):
        site.configure(f"workflows/w{number}.sql", long_sql(number))
    site.dataset("shop", pii="{email: {hash: email}}")
    return site


@pytest.fixture
def amc(site: Any) -> Any:
    return configured(site)


def one_by_one(engine: Engine) -> Callable[[Sequence[NewRun]], None]:
    def work(runs: Sequence[NewRun]) -> None:
        for run in runs:
            at_once(engine)([run])

    return work


def at_once(engine: Engine) -> Callable[[Sequence[NewRun]], None]:
    def work(runs: Sequence[NewRun]) -> None:
        engine.runs.create(runs)
        engine.finish([run.idempotency_key for run in runs], threading.Event(), is_patient=False)

    return work


def told(run: Run) -> Any:
    """What a run came to, without what differs from one workspace to the next."""
    own = ("workflow_execution_id", "execution_id", "key", "snapshot", "files", "listed", "refreshed")
    result = {name: value for name, value in (run.result or {}).items() if name not in own}
    return run.kind, run.tenant_id or "", str(run.status), json.dumps(result, sort_keys=True)


def everything(site: Any, how: Callable[[Engine], Callable[[Sequence[NewRun]], None]]) -> Any:
    """All kinds of runs of a workspace, done in some way: what became of them, in AMC and in the lake."""
    for name, number in itertools.product(NAMES, range(FILES)):
        rows = "".join(f"{n},{name}{n}@example.com,{number}\n" for n in range(300))
        site.put(f"{name}/shop/orders/{number}.csv", f"id,email,part\n{rows}")
    with site.engine() as engine:
        tenants = [engine.project.tenants[name] for name in NAMES]
        workflows = list(engine.project.workflows.values())
        work, at = how(engine), engine.clock.now()
        upkeep = [
            NewRun(idempotency_key=f"u:{task}", kind=UPKEEP, payload={"do": task}, lock_key=UPKEEP)
            for task in ("compact", "expire", "vacuum")
        ]
        engine.ingest.look_everywhere()
        pushes = [workflow_run(Action.CREATE, tenant, one) for one in workflows for tenant in tenants]
        work([*(provision_run(tenant) for tenant in tenants), *pushes, *upkeep])
        asked = [
            execute_run(
                tenant,
                ExecutionRequest(workflow_id=one.workflow_id, window=AMC_WINDOW),
                key=f"e:{tenant.tenant}:{one.workflow_id}",
                at=at,
            )
            for one in workflows
            for tenant in tenants
        ]
        foreign = [
            engine.session.client(tenant).create_execution(_request(n))
            for tenant in tenants
            for n in range(3)
        ]
        work([*asked, *(reconcile_run(tenant, at) for tenant in tenants)])
        rows = [engine.session.executions.by_amc(one.workflow_execution_id) for one in foreign]
        work([cancel_run(row) for row in rows])
        engine.work(threading.Event())
        definitions = [
            engine.session.client(tenant).workflow(one.workflow_id) for tenant in tenants for one in workflows
        ]
        assert definitions == [amc_definition(one, tenant) for tenant in tenants for one in workflows]
        runs = sorted(told(run) for run in engine.runs.list(limit=-1))
    hashes = [json.loads(path.read_bytes())["sql_hash"] for path in sorted(site.raw.rglob(".*.meta.json"))]
    tables = {table: site.query(f"SELECT count(*) FROM {table}") for table in site.tables()}
    return runs, sorted(hashes), tables


def _request(number: int) -> ExecutionRequest:
    return ExecutionRequest(
        workflow_id=f"other{number}", sql_query=long_sql(100 + number, 3), window=AMC_WINDOW
    )


def test_every_handler(site_of: type[Any], tmp_path: Path, hook: str) -> None:
    found = everything(configured(site_of(tmp_path / "together"), hook), at_once)
    expected = everything(configured(site_of(tmp_path / "alone"), hook), one_by_one)
    kinds = {kind for kind, *_ in expected[0]}
    assert {
        "light",
        "heavy",
        "execute",
        "workflow",
        "provision",
        "notify",
        "cancel",
        "reconcile",
        UPKEEP,
    } <= kinds
    assert not [run for run in expected[0] if run[2] == "FAILED"]
    assert set(found[1]) == {sql.sql_hash(long_sql(number)) for number in range(WORKFLOWS)}
    for one, other in zip(found, expected, strict=True):
        assert one == other


# ---- the Python API


WORKSPACE: dict[str, Callable[[amci.Workspace], Any]] = {
    "tenants": lambda ws: sorted(ws.tenants),
    "workflows": lambda ws: sorted(ws.workflows),
    "query": lambda ws: ws.query(f"SELECT {', '.join(f'{n} AS c{n}' for n in range(500))}").fetchall(),
    "tables": lambda ws: [table["table"] for table in ws.tables()],
    "status": lambda ws: ws.status()["objects"],
    "plan": lambda ws: ws.plan(["blue-kettle"]),
    "runs": lambda ws: [run.run_id for run in ws.runs(kind="light")],
    "run": lambda ws: (
        ws.run("campaign_reach", tenant="blue-kettle", window="MOST_RECENT_DAY", wait=False).status
    ),
    "amc": lambda ws: [one["workflowId"] for one in ws.amc("blue-kettle").workflows()],
    "sql.check": lambda ws: ws.sql.check(TEXTS[1]).findings,
    "sql.run": lambda ws: (
        ws.sql.run(
            long_sql(2, 2), scale=0.002, last="2026-06-30", window="2026-06-25..2026-07-01", has_privacy=False
        ).rows
    ),
}


@pytest.fixture(scope="module")
def ws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[amci.Workspace]:
    with amci.create(tmp_path_factory.mktemp("api") / "insights") as workspace:
        folder = workspace.home / "raw" / "blue-kettle" / "shop" / "orders"
        folder.mkdir(parents=True)
        (folder / "orders-2026-11-02.csv").write_text("Order ID;Line\no1;1\n")
        workspace.drain()
        workspace.apply(["blue-kettle"])
        yield workspace


@pytest.mark.spread(9)
@pytest.mark.parametrize("name", WORKSPACE)
def test_every_method_of_a_workspace_that_takes_no_lock(ws: amci.Workspace, name: str) -> None:
    times = 2 if name == "sql.run" else THREADS  # it makes a world of its own each time
    assert together(lambda _: WORKSPACE[name](ws), range(times)) == [WORKSPACE[name](ws)] * times


def test_methods_of_a_workspace_at_once(ws: amci.Workspace) -> None:
    names = [name for name in WORKSPACE if name not in ("run", "sql.run")] * 2
    assert together(lambda name: WORKSPACE[name](ws), names) == [WORKSPACE[name](ws) for name in names]


def test_what_takes_the_lock_of_a_workspace_says_so_to_the_second(ws: amci.Workspace) -> None:
    def drain(_: int) -> str:
        try:
            ws.drain()
        except WorkspaceBusy:
            return "busy"
        return "done"

    assert set(together(drain, range(2))) <= {"busy", "done"}
    assert drain(0) == "done"
