"""What `amci sql check` shows of the queries it looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from amci.amcsql.tools import findings_text as words
from amci.amcsql.tools.linting import Lint
from amci.app.query_checker import finding_lines
from amci.app.query_input import QueryInput
from amci.cli.output import Output


def document(asked: QueryInput, found: Lint) -> dict[str, Any]:
    """What is found in a query, for programs; places are those of the file."""
    made = found.document()
    places = [words.in_file(finding.place, asked.first_line, asked.indent) for finding in found.findings]
    for finding, place in zip(made["findings"], places, strict=True):
        finding.update(asdict(place))
    return {"file": asked.shown, "workflow_id": asked.workflow.workflow_id, **made}


def show(out: Output, found: Sequence[tuple[QueryInput, Lint]]) -> None:
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
