"""Doing what `amci sql check` asks for: look at each query, let DuckDB look at its types, and show what was found."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amci.amcsql.findings import CompileError
from amci.amcsql.tools import linting_text as words
from amci.amcsql.tools.inputs_cli import Asked
from amci.amcsql.tools.linting import WINDOW, Lint, lint
from amci.kernel.errors import NotFound

if TYPE_CHECKING:
    from amci.amcsql.grammar.parsing import Mode
    from amci.amcsql.sources import Source
    from amci.context import Context
    from amci.output import Output
    from amci.tenants.model import Tenant


class Checker:
    """Looks at queries; what it needs for that is made once, and closed with `closing`."""

    def __init__(
        self, closing: ExitStack, *, tenant: Tenant | None, is_strict: bool, uploaded: Mapping[str, Source]
    ) -> None:
        from amci.sandbox.engine import Engine
        from amci.sandbox.options import SandboxOptions

        self._tenant, self._uploaded = tenant, uploaded
        self._mode: Mode = "strict" if is_strict else "lenient"
        nowhere = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="amci-check-")))
        self._engine = Engine(nowhere, SandboxOptions())
        closing.callback(self._engine.close)

    def look(self, asked: Asked) -> Lint:
        """Everything that is found in a query."""
        declared = asked.declared(self._tenant)
        found = lint(
            asked.sql,
            declared,
            kind=asked.kind,
            mode=self._mode,
            uploaded=self._uploaded,
            removes_values=asked.removes_values,
        )
        if found.errors or any(table.access == "uploaded" for table in found.tables):
            return found
        try:
            self._engine.check(_compiled(asked, declared), asked.sql)
        except CompileError as error:
            return replace(found, findings=[*error.findings, *found.findings])
        return found


def _compiled(asked: Asked, declared: Sequence[Mapping[str, Any]]) -> Any:
    from amci.amcsql.compiling import compiled
    from amci.amcsql.sources import audience_sources, sources

    return compiled(
        asked.sql,
        sources=audience_sources() if asked.is_for_audiences else sources(),
        declared=declared,
        window=WINDOW,
        now=WINDOW[1],
        privacy=None,
        controls="comparisons" if asked.is_for_audiences else "all",
    )


def tenant_named(ctx: Context, name: str | None) -> Tenant | None:
    """The tenant that is meant, if any; raises NotFound with a near match."""
    import difflib

    if name is None:
        return None
    tenants = ctx.project().tenants
    if name not in tenants:
        near = difflib.get_close_matches(name, tenants, n=1)
        raise NotFound(
            f"no tenant '{name}'",
            hint=f"did you mean '{near[0]}'?" if near else "`amci tenant list` shows those there are",
        )
    return tenants[name]


def uploaded_by(ctx: Context, tenant: Tenant | None) -> Mapping[str, Source]:
    """The data sets that a tenant's instance has in the workspace's sandbox, by name."""
    if tenant is None or not tenant.instance_id or not (ctx.workspace.sandbox / "sandbox.db").exists():
        return {}
    from amci.connecting import sandbox_options
    from amci.kernel.clock import SystemClock
    from amci.sandbox.backend import Backend
    from amci.sandbox.instances import Instances
    from amci.sandbox.queries import Queries
    from amci.sandbox.store import Store
    from amci.sandbox.uploads.uploaded import uploaded_sources

    place, options = ctx.workspace.sandbox, sandbox_options(ctx.project())
    store = Store(place / "sandbox.db")
    try:
        backend = Backend(
            store=store,
            clock=SystemClock(),
            options=options,
            instances=Instances(store, options),
            queries=Queries(place, options, lambda _: {}),
            key=b"",
        )
        return uploaded_sources(backend, tenant.instance_id)
    finally:
        store.close()


def document(asked: Asked, found: Lint) -> dict[str, Any]:
    """What is found in a query, for programs; places are those of the file."""
    made = found.document()
    places = [words.in_file(finding.place, asked.first_line, asked.indent) for finding in found.findings]
    for finding, place in zip(made["findings"], places, strict=True):
        finding.update(asdict(place))
    return {"file": asked.shown, "workflow_id": asked.workflow.workflow_id, **made}


def show(out: Output, found: Sequence[tuple[Asked, Lint]]) -> None:
    """What is wrong, each with its line; of one query also what it gives, reads, takes and may lose."""
    if out.as_json:
        out.rows([document(asked, lint) for asked, lint in found], [])
        return
    for asked, each in found:
        for line in finding_lines(asked, each):
            out.text(line)
        out.text(f"{asked.shown}: {words.summary(each)}")
    if len(found) == 1:
        _show_about(out, found[0][1])


def finding_lines(asked: Asked, found: Lint) -> Iterator[str]:
    """The findings of a query with their lines."""
    for finding in found.findings:
        place = words.in_file(finding.place, asked.first_line, asked.indent)
        yield from words.finding_lines(finding, asked.sql, asked.shown, place)


def _show_about(out: Output, found: Lint) -> None:
    """What a query gives, reads and takes, and what may be hidden."""
    tables = (
        (words.COLUMNS, [words.column_row(each) for each in found.columns]),
        (words.TABLES, [words.table_row(each) for each in found.tables]),
        (words.PARAMETERS, [words.parameter_row(each) for each in found.parameters]),
    )
    for columns, rows in tables:
        if rows:
            out.text("")
            out.table(columns, rows)
    if found.risks:
        out.text("")
        out.text("rows that AMC may hide:")
        for risk in found.risks:
            out.text(f"- {risk.text}")
            out.text(f"  what helps: {risk.hint}")
