"""Values of a workflow's parameters: gathered from where they are given, typed, and made concrete."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from amci.kernel.errors import UsageError
from amci.tenants.model import Tenant
from amci.workflows.definitions import data_types, sql
from amci.workflows.definitions.definition import Workflow, checked, unknown_parameter


def merged(workflow: Workflow, tenant: Tenant, given: Mapping[str, Any]) -> dict[str, Any]:
    """The value of every parameter, typed, dates still dynamic.

    What is given goes before the tenant's own values, these before the workflow's for this tenant, and these
    before the declared defaults. A parameter whose default is written as null may stay without a value. Raises
    UsageError with everything that is wrong.
    """
    known = {parameter.name: parameter for parameter in workflow.input_parameters}
    problems = [unknown_parameter(name, known) for name in given if name not in known]
    values = workflow.defaults(tenant)
    for name, value in given.items():
        if name not in known or value is None:
            continue
        try:
            values[name] = checked(known[name], value)
        except UsageError as error:
            problems.append(str(error))
    missing = [name for name, p in known.items() if name not in values and not p.is_optional]
    problems += [f"parameter {name} has no value and no default" for name in missing]
    if problems:
        raise UsageError(
            f"workflow {workflow.workflow_id}: {'; '.join(problems)}",
            hint=f"its parameters are {', '.join(known)}" if known else "it has no parameters",
        )
    return {name: values[name] for name in known if name in values}


def resolved(workflow: Workflow, values: Mapping[str, Any], at: datetime, zone: ZoneInfo) -> dict[str, Any]:
    """Merged values with their dynamic dates as of `at` in the calendar of `zone`; raises UsageError."""
    types = {parameter.name: parameter.data_type for parameter in workflow.input_parameters}
    return {name: data_types.resolved(value, types[name], at, zone) for name, value in values.items()}


def placeholders(text: str) -> set[str]:
    """The names inside CUSTOM_PARAMETER('…'); strings and comments that only look so do not count.

    Raises UsageError if a string or comment does not end.
    """
    return set(_names(text))


def _names(text: str) -> Iterator[str]:
    from sqlglot import TokenType

    found = sql.tokens(text)
    wanted = (TokenType.L_PAREN, TokenType.STRING, TokenType.R_PAREN)
    for position, token in enumerate(found):
        after = found[position + 1 : position + 4]
        if token.token_type is not TokenType.VAR or token.text.upper() != "CUSTOM_PARAMETER":
            continue
        if tuple(t.token_type for t in after) == wanted:
            yield after[1].text
