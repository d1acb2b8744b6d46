"""Checks queries as AMC would: its own rules first, then DuckDB's word on the types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from amci.amcsql.findings import CompileError
from amci.amcsql.tools import findings_text as words
from amci.amcsql.tools.linting import Lint, lint
from amci.app.query_input import QueryInput

if TYPE_CHECKING:
    from amci.amcsql.grammar.parsing import Mode
    from amci.amcsql.sources import Source
    from amci.kernel.workspace import WorkspacePaths
    from amci.tenants.model import Tenant

#: For a query that is checked and not run.
_ANY_WINDOW = (datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, 2, tzinfo=UTC))


class Checker:
    """Checks queries in one session, which is opened on first use and closed with `closing`."""

    def __init__(
        self, closing: ExitStack, *, tenant: Tenant | None, is_strict: bool, uploaded: Mapping[str, Source]
    ) -> None:
        from amci.sandbox.options import SandboxOptions
        from amci.sandbox.type_check import TypeChecker

        self._tenant, self._uploaded = tenant, uploaded
        self._mode: Mode = "strict" if is_strict else "lenient"
        self._types = TypeChecker(SandboxOptions())
        closing.callback(self._types.close)

    def look(self, query_input: QueryInput) -> Lint:
        """All findings of a query."""
        query = query_input.read(self._tenant, uploaded=self._uploaded, mode=self._mode)
        found = lint(query, removes_values=query_input.removes_values)
        if found.errors or any(table.access == "uploaded" for table in found.tables):
            return found
        try:
            self._types.check(query.compile(_ANY_WINDOW, _ANY_WINDOW[1]), query_input.sql)
        except CompileError as error:
            return replace(found, findings=[*error.findings, *found.findings])
        return found


def uploaded_by(workspace: WorkspacePaths | None, tenant: Tenant | None) -> Mapping[str, Source]:
    """The data sets that a tenant's instance has in the workspace's sandbox, by name."""
    if workspace is None or tenant is None or not tenant.instance_id:
        return {}
    if not (workspace.sandbox / "sandbox.db").exists():
        return {}
    from amci.app.amc_connection import sandbox_options
    from amci.app.project import load
    from amci.kernel.clock import SystemClock
    from amci.kernel.environment import environment
    from amci.sandbox.backend import Backend
    from amci.sandbox.instances import Instances
    from amci.sandbox.queries import Queries
    from amci.sandbox.store import Store
    from amci.sandbox.uploads.uploaded import uploaded_sources

    place, options = workspace.sandbox, sandbox_options(load(workspace, environment()))
    store = Store.open(place / "sandbox.db", SystemClock())
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


def finding_lines(query_input: QueryInput, found: Lint) -> Iterator[str]:
    """The findings of a query with their lines."""
    for finding in found.findings:
        place = words.in_file(finding.place, query_input.first_line, query_input.indent)
        yield from words.finding_lines(finding, query_input.sql, query_input.shown, place)
