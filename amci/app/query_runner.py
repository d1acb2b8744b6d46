"""Runs queries on the sandbox's events, in this process, with AMC's privacy rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amci.amcsql.findings import CompileError
from amci.amcsql.privacy.thresholds import Privacy, RedactedRow
from amci.amcsql.tools.linting import Lint, lint
from amci.amcsql.tools.redaction import RedactionReport, report
from amci.app.query_checker import finding_lines, uploaded_by
from amci.app.query_input import QueryInput
from amci.kernel.environment import environment
from amci.kernel.errors import QueryError, UsageError
from amci.tenants.model import Tenant, tenant_named

if TYPE_CHECKING:
    from amci.amcsql.query import Compiled
    from amci.amcsql.sources import Source
    from amci.kernel.workspace import WorkspacePaths
    from amci.sandbox.engine import Outcome, QueryEngine
    from amci.sandbox.options import SandboxOptions
    from amci.sandbox.times import Window

#: Attribution looks back so far, so events begin so long before a window.
_REACH = timedelta(days=28)
#: AMC's events are complete two days after they happened; on the third day the last one is in every window.
_LATER = timedelta(days=3)
#: Marks emptied rows if the workflow has no such column.
_IS_EMPTIED = "amci emptied"


@dataclass(frozen=True, slots=True)
class QueryRequest:
    """The options of a run, in the order of the command's."""

    window: str | None = None  #: MOST_RECENT_WEEK, START..END; the workflow's own by default
    zone: str | None = None
    tenant: str | None = None
    values: Sequence[str] = ()  #: name=value
    has_privacy: bool = True
    scale: float | None = None
    seed: int | None = None
    last: str | None = None  #: last day of events


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A query that was run."""

    query_input: QueryInput
    lint: Lint
    compiled: Compiled
    window: Window
    names: Sequence[str]
    types: Sequence[str]
    kinds: Sequence[str]  #: METRIC or DIMENSION
    rows: Sequence[Sequence[Any]]
    report: RedactionReport | None  #: what privacy rules took; None if they do not apply

    @property
    def redacted(self) -> Sequence[RedactedRow]:
        """The rows that privacy rules removed or emptied, the closest to the threshold first."""
        return self.report.hidden_rows if self.report else ()

    def document(self) -> dict[str, Any]:
        """For programs."""
        columns = zip(self.names, self.types, self.kinds, strict=True)
        return {
            "file": self.query_input.shown,
            "window": {"start": self.window.start, "end": self.window.end},
            "columns": [{"name": n, "type": t, "kind": k} for n, t, k in columns],
            "rows": [dict(zip(self.names, row, strict=True)) for row in self.rows],
            "redaction": self.report.document() if self.report else None,
        }


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs queries on one world, as of one moment."""

    engine: QueryEngine
    options: SandboxOptions
    request: QueryRequest
    now: datetime
    tenant: Tenant | None
    uploaded: Mapping[str, Source]  #: data sets of the tenant, by name
    tell: Callable[[str], None]  #: hears what a person should know
    progress: Callable[[int, int], None]

    def run(self, query_input: QueryInput) -> Ran:
        """The result of a query; raises QueryError with AMC's reasons to refuse it."""
        window = self._window(query_input)
        query = query_input.read(
            self.tenant, uploaded=self.uploaded, values=self._values(query_input, window)
        )
        found = lint(query)
        if found.errors:
            raise refusal(query_input, found)
        try:
            compiled = query.compile(
                (window.start, window.end),
                self.now,
                privacy=_privacy(query_input)
                if self.request.has_privacy and not query_input.is_for_audiences
                else None,
                instance_id=(self.tenant.instance_id or "") if self.tenant else "",
            )
            self.engine.check(compiled, query_input.sql)
        except CompileError as error:
            raise refusal(query_input, replace(found, findings=error.findings)) from error
        last = self.options.anchor or self.now.date()
        self._have_events(window, last)
        outcome = self.engine.run(
            _people(compiled) if query_input.is_for_audiences else compiled, last, explains=True
        )
        kinds = [*compiled.kinds, *("DIMENSION" for _ in outcome.names)]
        visible = [place for place, name in enumerate(outcome.names) if name != _IS_EMPTIED]
        return Ran(
            query_input=query_input,
            lint=found,
            compiled=compiled,
            window=window,
            names=[outcome.names[place] for place in visible],
            types=[outcome.types[place] for place in visible],
            kinds=[kinds[place] for place in visible],
            rows=[[row[place] for place in visible] for row in outcome.rows],
            report=_told(found, compiled, outcome),
        )

    def _window(self, query_input: QueryInput) -> Window:
        from amci.kernel.errors import AmciError
        from amci.sandbox.times import window_of
        from amci.workflows.definitions.time_windows import resolve
        from amci.workflows.executions.request_parsing import window_from

        own = query_input.workflow.time_window
        wanted = resolve(window_from(self.request.window, self.request.zone, own), self.now)
        fields = {
            "timeWindowType": str(wanted.type),
            "timeWindowStart": wanted.start,
            "timeWindowEnd": wanted.end,
            "timeWindowTimeZone": wanted.time_zone,
        }
        try:
            return window_of(fields, self.now)
        except AmciError as error:
            raise UsageError(str(error), hint="write START..END, or MOST_RECENT_WEEK") from None

    def _values(self, query_input: QueryInput, window: Window) -> dict[str, Any]:
        from amci.kernel.dates import time_zone
        from amci.workflows.definitions.parameters import merged, resolved
        from amci.workflows.executions.request_parsing import assignments

        tenant = self.tenant or Tenant(tenant="nobody")
        given = assignments(self.request.values, is_typed=True)
        values = merged(query_input.workflow, tenant, given)
        return resolved(query_input.workflow, values, self.now, time_zone(window.time_zone))

    def _have_events(self, window: Window, last: date) -> None:
        """Generate missing events of the window and of the days that attribution looks back."""
        if window.start.date() > last:
            self.tell(f"events end on {last}, before the time window begins")
        first = min(last - timedelta(days=self.options.days - 1), window.start.date() - _REACH)
        self.engine.world.make(first, last, progress=self.progress)


@contextmanager
def query_runner(
    request: QueryRequest,
    workspace: WorkspacePaths | None,
    *,
    tell: Callable[[str], None] = lambda _: None,
    progress: Callable[[int, int], None] = lambda _done, _days: None,
) -> Iterator[Runner]:
    """Runs queries over the sandbox of a workspace, or over one in this user's cache without a workspace.

    `tell` hears what a person should know, `progress` how many days of events are generated, of how many.
    Raises NotFound for an unknown tenant, UsageError for an invalid day.
    """
    from amci.app.amc_connection import sandbox_options
    from amci.app.project import load
    from amci.kernel.clock import SystemClock
    from amci.sandbox.engine import QueryEngine
    from amci.sandbox.options import SandboxOptions

    last = _day(request.last)
    environ = environment()
    project = load(workspace, environ) if workspace else None
    tenant = tenant_named(project.tenants if project else {}, request.tenant) if request.tenant else None
    options = sandbox_options(project) if project else SandboxOptions()
    options = replace(
        options,
        anchor=last,
        scale=options.scale if request.scale is None else request.scale,
        seed=options.seed if request.seed is None else request.seed,
    )
    now = datetime.combine(last + _LATER, time(), UTC) if last else SystemClock().now()
    engine = QueryEngine(workspace.sandbox if workspace else _cache(environ), options)
    try:
        yield Runner(
            engine,
            options,
            request,
            now,
            tenant=tenant,
            uploaded=uploaded_by(workspace, tenant),
            tell=tell,
            progress=progress,
        )
    finally:
        engine.close()


def refusal(query_input: QueryInput, found: Lint) -> QueryError:
    """The error for a query that AMC would refuse: its findings, each with its line."""
    lines = finding_lines(query_input, replace(found, findings=found.errors))
    hint = "fix it; `amci sql check` shows all findings"
    return QueryError("\n".join(["AMC would refuse this query", *lines]), hint=hint)


def _cache(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "amci" / "sandbox"


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise UsageError(f"'{text}' is not a day", hint="write --last 2026-06-30") from None


def _privacy(query_input: QueryInput) -> Privacy:
    """What the workflow asks of the privacy rules; emptied rows are marked, so that they can be counted."""
    of = query_input.workflow
    made = Privacy(
        behavior=of.privacy_filtering_behavior or "REMOVE_ROWS",
        discriminator=of.filtered_metrics_discriminator_column,
        user_count=of.distinct_user_count_column,
        reason=of.filtered_reason_column,
    )
    return (
        replace(made, discriminator=_IS_EMPTIED) if made.removes_values and not made.discriminator else made
    )


def _people(compiled: Compiled) -> Compiled:
    """How many people an audience has, in place of their ids."""
    return replace(compiled, plain=f"SELECT count(DISTINCT user_id) AS people FROM ({compiled.plain})")


def _told(found: Lint, compiled: Compiled, outcome: Outcome) -> RedactionReport | None:
    if compiled.guarded is None or compiled.privacy is None or outcome.redacted is None:
        return None
    untouched = len(outcome.rows)
    if compiled.privacy.removes_values:
        place = list(outcome.names).index(compiled.privacy.discriminator)
        untouched = sum(not row[place] for row in outcome.rows)
    return report(
        outcome.redacted,
        untouched=untouched,
        is_emptied=compiled.privacy.removes_values,
        columns=found.columns,
    )
