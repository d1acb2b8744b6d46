"""AMC SQL for programs: check a query, and run it on the sandbox's events."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from amci.amcsql.tools.linting import Lint
from amci.app.project import load
from amci.app.query_checker import Checker, uploaded_by
from amci.app.query_input import QueryInput, query_of_text, read_query
from amci.app.query_runner import QueryRequest, Ran, query_runner
from amci.kernel.environment import environment
from amci.kernel.workspace import WorkspacePaths
from amci.tenants.model import tenant_named


class SqlWorkbench:
    """Checks and runs AMC SQL with the workspace's workflows, tenants and sandbox."""

    def __init__(self, paths: WorkspacePaths) -> None:
        self._paths = paths

    def check(self, query: str | Path, *, tenant: str | None = None, strict: bool = False) -> Lint:
        """The findings of a query, and how many users its rows need to be shown.

        `query` is SQL, a workflow's name, or the path of a file. `strict` also refuses what AMC documents as
        unsupported. Raises NotFound for an unknown name.
        """
        whose = tenant_named(load(self._paths, environment()).tenants, tenant) if tenant else None
        with ExitStack() as closing:
            checker = Checker(
                closing, tenant=whose, is_strict=strict, uploaded=uploaded_by(self._paths, whose)
            )
            return checker.look(self._input(query))

    def run(
        self,
        query: str | Path,
        *,
        window: str | None = None,
        zone: str | None = None,
        tenant: str | None = None,
        values: Sequence[str] = (),
        has_privacy: bool = True,
        scale: float | None = None,
        seed: int | None = None,
        last: str | None = None,
    ) -> Ran:
        """The result of a query on synthetic events, with what AMC's privacy rules removed.

        `values` are the parameters as `name=value`; `scale`, `seed` and the `last` day are those of the events.
        Raises QueryError with AMC's reasons to refuse the query.
        """
        request = QueryRequest(window, zone, tenant, values, has_privacy, scale, seed, last)
        with query_runner(request, self._paths) as runner:
            return runner.run(self._input(query))

    def _input(self, query: str | Path) -> QueryInput:
        if isinstance(query, str) and any(c.isspace() for c in query.strip()):
            return query_of_text(query)
        return read_query(str(query), lambda: self._paths.config)
