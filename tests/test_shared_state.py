"""What can be shared by threads and changes: every such object of amci, with the reason why that is safe.

Read from the source. Found are caches, names of modules and classes that hold something which changes, classes whose
objects change after they were made, and what is made of other people's stateful kinds: connections, cursors, HTTP
clients, pools of threads, tokenizers, parsers. A new one fails here until it is listed, with one of these reasons; what
two threads do to each other is asked by `test_threads.py`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import amci

ROOT = Path(amci.__file__).parent
#: Reason → what it holds for, without `amci.`: `module:name`. What is made inside a function is `module:function.kind`.
SAFE = {
    "immutable: the same for the same arguments, and nobody changes it; made twice does no harm": """
        amcsql.duckdb_templates:_parsed amcsql.functions.casts:_data_type amcsql.grammar.parsing:parsed
        amcsql.grammar.parsing:tokens_of amcsql.patterns.java_regex:compiled amcsql.patterns.java_regex:java_pattern
        amcsql.sources:Source.by_name amcsql.sources:_document amcsql.sources:audience_sources amcsql.sources:sources
        kernel.clock:_offset kernel.dates:time_zone kernel.log:_structured kernel.names:_column_names
        lake.formats.header:is_value
        kernel.names:column_key kernel.names:column_name kernel.names:comparable
        kernel.names:table_name kernel.state:State._migrations lake.catalog.extensions:checked
        lake.catalog.headers:file_columns
        lake.formats.csv_reader:header_names lake.formats.escapes:_Dialect._field lake.formats.escapes:_Dialect._run
        lake.formats.escapes:_dialect sandbox.data.families:script sandbox.queries:Queries.__init__.lru_cache
        sandbox.store:statements sandbox.udfs:_first_match sandbox.udfs:_found sandbox.udfs:_replaced
        sandbox.udfs:_split scheduler.clock_changes:_changes_from scheduler.cron:_days scheduler.store:fire_text
        workflows.amazon.transport:trusted workflows.definitions.sql:_tokenizer_class
        workflows.definitions.sql:tokens kernel.plugins:_points
        lake.datasets.dataset:Dataset.column_types lake.datasets.dataset:Dataset.csv_options
        lake.datasets.dataset:Dataset.excel_options lake.datasets.dataset:Dataset.json_options
        lake.datasets.dataset:Dataset.read_limits lake.datasets.dataset:Dataset.spelling
        lake.formats.joined_csv:_plain lake.loading.loads:_staged lake.loading.row_buffer:_folder
        """,
    "one step: a single value is put in place of another one, and either of them is right": """
        app.engine:Engine kernel.files:_on_fault kernel.log:_clock lake.loading.rules:Rules sandbox.queries:Queries
        tenants.credentials:CredentialStore kernel.testing:TurnableClock kernel.plugins:_looked_at
        sandbox.duckdb_process:IDLE
        """,
    "locked: by a lock of its own": """
        app.session:Session kernel.plugins:_File kernel.state:State kernel.testing:FakeClock kernel.worker:Worker
        lake.landing.folder_events:PendingFolders sandbox.faults:Faults sandbox.engine:QueryEngine
        sandbox.service:Sandbox sandbox.duckdb_process:DuckDBProcess tenants.credentials:MemoryCredentials
        workflows.amazon.circuit_breaker:CircuitBreaker workflows.amazon.fixture_transport:Recorder
        workflows.amazon.login:LwaAuth workflows.amazon.rate_limiter:RateLimiter
        workflows.amazon.kept_connections:KeptConnections
        workflows.amc.connections:Connections
        kernel.state:State._connect.connect
        """,
    "locked by its only owner: Catalog.exclusive, Sandbox, Recorder, ReplayTransport": """
        lake.catalog.catalog:Catalog lake.catalog.checksums:Checksums lake.catalog.commit_guard:CommitGuard
        lake.catalog.catalog:Catalog._open.connect lake.catalog.commit_guard:CommitGuard.__init__.cursor
        lake.catalog.catalog:Catalog.con.cursor lake.loading.commit:Commit
        sandbox.instances:Instances sandbox.simulation:Simulator
        workflows.amazon.fixture_matching:Answers workflows.amazon.scrub:Scrubber
        """,
    "made to be shared: httpx and thread pools promise that threads may": """
        lake.loading.batch_writer:BatchWriter
        kernel.worker:Worker._work.ThreadPoolExecutor workflows.amc.connections:Connections._http.Client
        workflows.executions.execute:ExecuteHandler.__init__.ThreadPoolExecutor
        """,
    "one thread: that of a command, the watcher, the scheduler, a reader or a writer": """
        cli.app:LazyGroup cli.demo:Console cli.fork_client:_connected.connect cli.fork_server:Server
        cli.query_shell:Shell lake.query.kept_session:SessionKeeper lake.landing.folder_events:_Handler
        lake.landing.roots:Settling sandbox.rest:Server sandbox.rest:_Connection
        scheduler.service:Scheduler
        lake.query.result:TimeBudget lake.query.session:QuerySession lake.loading.pre_stage:StreamWriter
        lake.loading.typed_writer:TypedWriter
        lake.query.session:session.connect sandbox.duckdb_worker:_session.connect sandbox.duckdb_worker:main.connect
        """,
    "per call: made, used and dropped by one call, of one file, text, request or run": """
        amcsql.binder.binding:_Binder amcsql.binder.expressions:Reader amcsql.binder.grouping:_Beneath
        amcsql.binder.joins:Joined amcsql.binder.scopes:FindingReport amcsql.binder.scopes:NameScope
        amcsql.duckdb_writer:DuckDBWriter amcsql.functions.to_duckdb:Families amcsql.grammar.formatting:_Writer
        amcsql.patterns.java_regex:_PatternReader amcsql.patterns.java_regex:_Writer amcsql.privacy.groups:Groups
        amcsql.privacy.provenance:PrivacyRewriter amcsql.privacy.two_phase:_Parts amcsql.tools.risks:_Tracer
        amcsql.grammar.dialect:tokenized.AmcTokenizer amcsql.grammar.parsing:_tree.AmcParser
        app.backup:_copy_database.connect app.backup:_drop_unless_made.connect app.backup:_next_epoch.connect
        app.backup:_still.connect app.doctor:_packages.connect app.doctor:_state.connect
        app.samples.model:seeded.Random app.session:open_session.Session kernel.config:_UniqueKeys
        kernel.exchange:_Limit kernel.notify.mail:_Watched
        kernel.notify.webhook:post.Client workflows.amazon.login:_posted.Client
        lake.catalog.extensions:checked.connect lake.catalog.duck:connect.connect
        lake.formats.archive:EntryNames lake.formats.archive:_EntryFile
        lake.formats.excel_table:Table
        lake.datasets.column_rules:ColumnRules lake.datasets.personal_values:Sample lake.datasets.pii:Protection
        lake.formats.columns:Columns lake.formats.csv_reader:_Reader lake.formats.json_cursor:Cursor
        lake.formats.json_reader:_AtOnce lake.formats.quotes:_Walk lake.formats.reading:Reading
        lake.formats.source:ByteSource
        lake.formats.source:ChunkFile lake.landing.duplicates:_Holders lake.loading.loads:Places
        lake.loading.loads:TableLoads lake.loading.resemblance:Resemblance
        lake.loading.resemblance:_Seen lake.loading.row_buffer:AllTrue
        lake.loading.row_buffer:RowBuffer lake.catalog.arrow_casts:TextCaster
        lake.loading.rules:Rules.connection.connect
        lake.loading.spelling_hints:OddColumns lake.loading.type_inference:ColumnTyper
        lake.upkeep.publish:publish.connect
        sandbox.data.generate:EventGenerator._session.connect sandbox.data.world:_write_people.connect
        sandbox.uploads.loading:_Loading
        sandbox.uploads.loading:session.connect workflows.amazon.circuit_breaker:Turn
        workflows.provisioning.provision:Inspection workflows.provisioning.provision:_Amc
        workflows.amazon.kept_connections:KeptAnswer workflows.amazon.kept_connections:_Connection
        workflows.amazon.kept_connections:_Response
        workflows.amazon.kept_connections:KeptConnections._connected.connect
        """,
}
CHANGING = {
    *("add", "append", "appendleft", "clear", "discard", "extend", "insert", "pop", "popitem", "popleft"),
    *("remove", "reverse", "setdefault", "sort", "subtract", "update"),
}
CACHES = {"cache", "lru_cache", "cached_property"}
#: Of other people: objects of these keep a place, a transaction or a connection.
STATEFUL = {
    *("AmcGenerator", "AmcParser", "AmcTokenizer", "Generator", "Parser", "Tokenizer"),
    *("AsyncClient", "Client", "ThreadPoolExecutor", "connect", "cursor", "lru_cache"),
    *("DictReader", "DictWriter", "Environment", "HTMLParser", "Random", "Session", "YAML"),
}
DISPLAYS = (ast.Dict, ast.List, ast.Set, ast.DictComp, ast.ListComp, ast.SetComp)
CONTAINERS = {"Counter", "OrderedDict", "bytearray", "defaultdict", "deque", "dict", "list", "set"}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@cache
def trees() -> dict[str, ast.Module]:
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(ROOT.rglob("*.py"))
        if "example" not in path.relative_to(ROOT).parts
    }


def last(node: ast.expr) -> str:
    """The last name of `a.b.c`, of a call too."""
    if isinstance(node, ast.Call):
        return last(node.func)
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def changed(node: ast.AST) -> Iterator[ast.expr]:
    """What one node changes: targets of assignments, and what a changing method is called on."""
    if isinstance(node, ast.Assign | ast.Delete):
        targets = node.targets
    elif isinstance(node, ast.AugAssign | ast.AnnAssign):
        targets = [node.target]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGING:
        targets = [node.func.value]
    else:
        return
    for target in targets:
        yield from target.elts if isinstance(target, ast.Tuple) else [target]


def inner(node: ast.expr) -> ast.expr:
    """What is behind `[…]`."""
    while isinstance(node, ast.Subscript):
        node = node.value
    return node


def own(node: ast.expr) -> str:
    """The attribute in `self.attribute…`."""
    node = inner(node)
    is_own = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"
    return node.attr if is_own and isinstance(node, ast.Attribute) else ""


def changing_classes(module: str) -> Iterator[str]:
    for kind in (node for _, node in scoped(module) if isinstance(node, ast.ClassDef)):
        methods = [node for node in kind.body if isinstance(node, FUNCTIONS)]
        made = {"__init__", "__post_init__"}
        if any(
            own(target)
            for method in methods
            if method.name not in made
            for node in ast.walk(method)
            for target in changed(node)
        ):
            yield f"{module}:{kind.name}"


@cache
def scoped(module: str) -> list[tuple[str, ast.AST]]:
    """Every node with the names of the classes and functions around it."""
    nodes: list[tuple[str, ast.AST]] = []
    waiting: list[tuple[str, ast.AST]] = [(f"{module}:", trees()[module])]
    while waiting:
        around, node = waiting.pop()
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            around += f"{node.name}."
        children = [(around, child) for child in ast.iter_child_nodes(node)]
        nodes += children
        waiting += children
    return nodes


def caches_and_makes(module: str) -> Iterator[str]:
    decorators = {
        decorator
        for _, node in scoped(module)
        if isinstance(node, FUNCTIONS)
        for decorator in node.decorator_list
    }
    for around, node in scoped(module):
        if isinstance(node, FUNCTIONS):
            if any(last(decorator) in CACHES for decorator in node.decorator_list):
                yield f"{around}{node.name}"
        elif isinstance(node, ast.Call) and last(node.func) in STATEFUL - {""} and node not in decorators:
            yield f"{around}{last(node.func)}"


def is_mutable(value: ast.expr | None) -> bool:
    return isinstance(value, DISPLAYS) or (isinstance(value, ast.Call) and last(value) in CONTAINERS)


def mutated_names() -> set[str]:
    """Names, of whatever, that are changed in place inside a function."""
    return {
        last(inner(target))
        for module in trees()
        for around, node in scoped(module)
        if not around.endswith(":")
        for target in changed(node)
        if isinstance(target, ast.Subscript) or isinstance(node, ast.Call)
    }


def changing_names(module: str, mutated: set[str]) -> Iterator[str]:
    """Mutable values at the top of a module or a class that something changes, and `global` names."""
    for _, node in scoped(module):
        if isinstance(node, ast.Global):
            yield from (f"{module}:{name}" for name in node.names)
    bodies: list[tuple[str, list[ast.stmt]]] = [(f"{module}:", trees()[module].body)]
    bodies += [(f"{around}{n.name}.", n.body) for around, n in scoped(module) if isinstance(n, ast.ClassDef)]
    for prefix, body in bodies:
        for node in body:
            if isinstance(node, ast.Assign | ast.AnnAssign) and is_mutable(node.value):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                yield from (f"{prefix}{last(target)}" for target in targets if last(target) in mutated)


@cache
def found() -> frozenset[str]:
    mutated = mutated_names()
    return frozenset(
        name
        for module in trees()
        for name in (
            *changing_classes(module),
            *caches_and_makes(module),
            *changing_names(module, mutated),
        )
    )


def test_everything_that_threads_may_share_is_listed_with_a_reason() -> None:
    listed = [name for names in SAFE.values() for name in names.split()]
    twice = {name for name in listed if listed.count(name) > 1}
    assert (sorted(found() - set(listed)), sorted(set(listed) - found()), twice) == ([], [], set())


SAMPLE = """
from functools import cache, lru_cache
KNOWN = {}
ORDER = ["a", "b"]
class Store:
    seen = set()
    def __init__(self):
        self.rows = []
    def add(self, row):
        self.rows.append(row)
        self.seen.add(row)
        KNOWN[row] = 1
class Point:
    def __init__(self):
        self.x = 1
@cache
def parser():
    return sqlglot.Parser()
def loud():
    global LEVEL
"""


def test_each_kind_of_shared_state_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.test_shared_state.trees", lambda: {"sample": ast.parse(SAMPLE)})
    mutated = mutated_names()
    names = {
        *changing_classes("sample"),
        *caches_and_makes("sample"),
        *changing_names("sample", mutated),
    }
    assert names == {
        "sample:KNOWN",
        "sample:LEVEL",
        "sample:Store",
        "sample:Store.seen",
        "sample:parser",
        "sample:parser.Parser",
    }
