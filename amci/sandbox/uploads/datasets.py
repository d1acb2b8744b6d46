"""Data sets that advertisers upload into, and their columns: created, listed, changed, deleted (amc-api 2.5)."""

from __future__ import annotations

import json
import re
from sqlite3 import Row
from typing import Any

from amci.sandbox.backend import Backend
from amci.sandbox.errors import bad, missing
from amci.sandbox.http import Request, Response
from amci.sandbox.resources import Resource
from amci.sandbox.times import micros
from amci.sandbox.uploads import columns as columns_
from amci.sandbox.uploads.answers import check_none, country_problems, parameters, text_problems
from amci.sandbox.uploads.columns import Column
from amci.sandbox.uploads.versions import delete_files

PERIODS = ("PT1H", "P1D", "P1M")
MOST = 5000  #: data sets of an instance (amc-api 1.6)
DATA_SETS = Resource(
    name="data_set", title="Data set", part="dataSetId", items="dataSets", limit="maxResults"
)
_ID = re.compile(r"[a-z0-9_]+")
_CHANGEABLE = ("description", "countryCode")


def create(backend: Backend, request: Request) -> Response:
    """POST /dataSets."""
    asked = request.document("dataSet")
    data_set_id, instance_id = str(asked.get("dataSetId") or ""), request.instance.instance_id
    columns = columns_.with_keys(columns_.with_users(_checked(asked, data_set_id)), 0)
    document = {"period": "P1D"} | {
        name: asked[name]
        for name in ("period", "description", "countryCode", "customerEncryptionKeyArn")
        if asked.get(name)
    }
    with backend.store.transaction():
        if backend.store.rows("number_of_data_sets", instance_id=instance_id)[0]["number"] >= MOST:
            raise bad(f"An instance can have {MOST} data sets.")
        DATA_SETS.insert(
            backend,
            instance_id=instance_id,
            data_set_id=data_set_id,
            document=json.dumps(document),
            columns=json.dumps(columns),
            next_key=len(columns),
            now=micros(request.now),
        )
    return _named(request, data_set_id)


def data_sets(backend: Backend, request: Request) -> Response:
    """POST /dataSets/list."""
    return DATA_SETS.page(backend, request, _shown, parameters=parameters(request))


def data_set(backend: Backend, request: Request) -> Response:
    """GET /dataSets/{dataSetId}."""
    return Response(document={"dataSet": _shown(DATA_SETS.row(backend, request))})


def change(backend: Backend, request: Request) -> Response:
    """PUT /dataSets/{dataSetId}: its description and country code, nothing else."""
    asked = request.document("dataSet")
    check_none(
        [f"{name} cannot be changed." for name in asked if name not in _CHANGEABLE]
        + text_problems(asked, "description")
        + country_problems(asked.get("countryCode"))
    )
    with backend.store.transaction():
        row = DATA_SETS.row(backend, request)
        document = json.loads(row["document"]) | asked
        backend.store.do("change_data_set", seq=row["seq"], document=json.dumps(document))
    return data_set(backend, request)


def delete(backend: Backend, request: Request) -> Response:
    """DELETE /dataSets/{dataSetId}: with all its rows."""
    row = DATA_SETS.row(backend, request)
    backend.store.do("delete_data_set", seq=row["seq"])
    delete_files(backend.directory, row)
    return _named(request, row["data_set_id"])


def add_column(backend: Backend, request: Request) -> Response:
    """POST /dataSets/{dataSetId}/columns: earlier rows have NULL in it."""
    problems: list[str] = []
    added = columns_.normal(request.document("column"), "column", problems)
    with backend.store.transaction():
        row = DATA_SETS.row(backend, request)
        columns = columns_of(row)
        problems += _adding_problems(columns, added)
        check_none(problems + list(columns_.problems([*columns, added], row["data_set_id"])))
        # a key is never reused: files may still have values of a deleted column
        added = columns_.with_keys([added], row["next_key"])[0]
        _keep_columns(backend, row, [*columns, added], next_key=row["next_key"] + 1)
    return _named(request, row["data_set_id"])


def change_column(backend: Backend, request: Request) -> Response:
    """PUT /dataSets/{dataSetId}/columns/{columnName}: its name or its description."""
    asked = request.document()
    name, text = asked.get("updatedColumnName"), asked.get("updateDescription")
    with backend.store.transaction():
        row = DATA_SETS.row(backend, request)
        columns, column = _column_of(row, request)
        problems = text_problems(asked, "updateDescription") + (columns_.name_problems(name) if name else [])
        if name and column.get("isMainUserId"):
            problems.append("The column with isMainUserId cannot be renamed.")
        changed = {"name": name or column["name"], "description": text or column.get("description", "")}
        changed_columns = [old | changed if old is column else old for old in columns]
        check_none(problems or list(columns_.problems(changed_columns, row["data_set_id"])))
        _keep_columns(backend, row, changed_columns)
    return _named(request, row["data_set_id"])


def delete_column(backend: Backend, request: Request) -> Response:
    """DELETE /dataSets/{dataSetId}/columns/{columnName}; not the main event time, nor the main user id."""
    with backend.store.transaction():
        row = DATA_SETS.row(backend, request)
        columns, column = _column_of(row, request)
        for flag in ("isMainEventTime", "isMainUserId"):
            if column.get(flag):
                raise bad(f"Column {column['name']} cannot be deleted: it has {flag}.")
        if len(columns) == 1:
            raise bad(f"Column {column['name']} cannot be deleted: it is the only one; delete the data set.")
        _keep_columns(backend, row, [old for old in columns if old is not column])
    return _named(request, row["data_set_id"])


def columns_of(row: Row) -> list[Column]:
    """The columns of a data set, including those that AMC added."""
    columns: list[Column] = json.loads(row["columns"])
    return columns


def is_fact(row: Row) -> bool:
    """Whether the data set has a main event time."""
    return columns_.flagged(columns_of(row), "isMainEventTime") is not None


def _checked(asked: dict[str, Any], data_set_id: str) -> list[Column]:
    """The columns of a new data set; raises InvalidRequest with all its problems."""
    problems: list[str] = []
    if not _ID.fullmatch(data_set_id):
        problems.append(
            "dataSetId is required and may contain lower-case letters, digits and underscores only."
        )
    problems += text_problems(asked, "description", "customerEncryptionKeyArn")
    problems += country_problems(asked.get("countryCode"))
    if asked.get("period", "P1D") not in PERIODS:
        problems.append(f"period must be one of {', '.join(PERIODS)}.")
    given = asked.get("columns")
    if not isinstance(given, list) or not 1 <= len(given) <= columns_.MOST:
        check_none([*problems, f"columns must be a list of 1 to {columns_.MOST} columns."])
        return []
    columns = [columns_.normal(each, f"columns[{n}]", problems) for n, each in enumerate(given)]
    check_none(problems + list(columns_.problems(columns, data_set_id)))
    return columns


def _adding_problems(columns: list[Column], added: Column) -> list[str]:
    problems = []
    if columns_.is_from_amazon(added) or added.get("isMainEventTime"):
        problems.append(
            "A column with isMainUserId, isMainUserIdType or isMainEventTime cannot be added; create another data set."
        )
    if columns_.identifier(added) and not columns_.flagged(columns, "isMainUserId"):
        problems.append(
            "A data set without a main user ID column cannot get an identifier; create another one."
        )
    if added.get("nullable") is False:
        problems.append("A column that is added must be nullable, as rows that are there have no value.")
    return problems


def _column_of(row: Row, request: Request) -> tuple[list[Column], Column]:
    columns, name = columns_of(row), request.parts["columnName"]
    for column in columns:
        if column["name"] == name:
            return columns, column
    raise missing("Column", name)


def _keep_columns(backend: Backend, row: Row, columns: list[Column], next_key: int | None = None) -> None:
    backend.store.do(
        "change_columns", seq=row["seq"], columns=json.dumps(columns), next_key=next_key or row["next_key"]
    )


def _named(request: Request, data_set_id: str) -> Response:
    return Response(document={"dataSetId": data_set_id, "instanceId": request.instance.instance_id})


def _shown(row: Row) -> dict[str, Any]:
    return {
        "dataSetId": row["data_set_id"],
        **json.loads(row["document"]),
        "columns": [columns_.shown(column) for column in columns_of(row)],
    }
