from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from amci.kernel.errors import Problem
from amci.tenants.model import Tenant
from amci.workflows.definitions import library, workflow_pull
from amci.workflows.definitions.definition import Workflow, amc_definition

ACME = Tenant(tenant="acme", instance_id="amcacme")
ARRAY = {"type": "ARRAY", "elementDataType": "STRING", "elementNullable": False}
REMOTE = {
    "workflowId": "reach.v2",
    "sqlQuery": "SELECT '--x', CUSTOM_PARAMETER('asins'), CUSTOM_PARAMETER('on')\nFROM t",
    "inputParameters": [
        {"name": "asins", "dataType": ARRAY, "columnType": "DIMENSION", "defaultValue": ["00123", "no"]},
        {"name": "on", "dataType": "BOOLEAN", "columnType": "DIMENSION", "defaultValue": False},
    ],
    "outputFormat": {"escapeCharacter": '"'},
    "filteredMetricsDiscriminatorColumn": "filtered",
    "query": "e30=",
    "distinctUserCountColumn": None,
}


def write(folder: Path, **files: Any) -> None:
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / name.replace("__", ".")).write_text(text, encoding="utf-8")


def read(folder: Path) -> tuple[dict[str, Workflow], list[str]]:
    problems: list[Problem] = []
    found = library.read(folder, problems, lambda path: path.name)
    return found, [str(problem) for problem in problems]


def test_sql_stands_in_the_document_beside_it_or_alone(tmp_path: Path) -> None:
    write(
        tmp_path,
        inline__yaml="version: 3\nsql: |\n  SELECT 1\n",
        beside__yml="description: Reach.\n",
        beside__sql="\ufeffSELECT 2",
        alone__sql="SELECT 3",
        amc__json={"workflowId": "theirs", "sqlQuery": "SELECT 4"},
        ignored__md="not a workflow",
    )
    (tmp_path / ".swap.sql").write_text("SELECT 'half")
    (tmp_path / "folder.sql").mkdir()
    found, problems = read(tmp_path)
    assert problems == []
    assert {name: (w.workflow_id, w.sql.strip(), w.version) for name, w in found.items()} == {
        "inline": ("inline", "SELECT 1", 3),
        "beside": ("beside", "SELECT 2", 1),
        "alone": ("alone", "SELECT 3", 1),
        "theirs": ("theirs", "SELECT 4", 1),
    }


def test_a_request_of_the_aws_solution_may_leave_its_sql_beside(tmp_path: Path) -> None:
    request = {
        "customerId": "acme",
        "requestType": "createWorkflow",
        "workflowDefinition": {"workflowId": "reach"},
    }
    write(tmp_path, request__json={"workflowRequest": request}, request__sql="SELECT 1")
    found, problems = read(tmp_path)
    assert problems == []
    assert found["reach"].tenants == ("acme",)


def test_no_folder_is_no_workflows(tmp_path: Path) -> None:
    assert read(tmp_path / "missing") == ({}, [])


def test_every_problem_of_every_file_is_said_with_its_file(tmp_path: Path) -> None:
    write(
        tmp_path,
        a__yaml="sql: SELECT 1\n",
        a__sql="SELECT 1",
        b__yaml="version: 1\n",
        c__yaml="workflow_id: same\nsql: SELECT 1\n",
        d__yaml="workflow_id: same\nsql: SELECT CUSTOM_PARAMETER('x')\n",
        e__yaml="sql: [\n",
        f__yaml="sql: SELECT 1\nsqlQuery: SELECT 2\n",
        g__yaml="sql: SELECT 1\nversion: none\nwindow: {type: ALL, start: x}\n",
        h__json={
            "workflowRequest": {"requestType": "deleteWorkflow", "workflowId": "h", "workflowDefinition": {}}
        },
        odd_name_é__sql="SELECT 1",
    )
    (tmp_path / "i.sql").write_bytes(b"SELECT '\xff'")
    found, problems = read(tmp_path)
    assert list(found) == ["same"]
    for said in (
        "a.yaml: sql: stands here and in a.sql: keep one of them",
        "b.yaml: sql: stands neither here nor in b.sql beside it",
        "d.yaml: workflow_id: 'same' is defined in another file already",
        "d.yaml: input_parameters: the SQL uses CUSTOM_PARAMETER('x'), not declared",
        "f.yaml: 'sqlQuery' stands twice, in two spellings",
        "h.json: a request of type deleteWorkflow defines no workflow",
        "i.sql: cannot be read: it is not UTF-8 text",
    ):
        assert said in problems
    assert {said.split(":")[0] for said in problems} == {
        *(f"{name}.yaml" for name in "abdefg"), "h.json", "i.sql", "odd_name_é.sql",
    }  # fmt: skip


def test_a_tenant_gets_the_workflows_that_are_for_it(tmp_path: Path) -> None:
    write(
        tmp_path,
        b__yaml="sql: SELECT 1\n",
        a__yaml="sql: SELECT 1\n",
        c__yaml="sql: SELECT 1\ntenants: [other]\n",
    )
    found, _ = read(tmp_path)
    assert [w.workflow_id for w in library.for_tenant(found, ACME)] == ["a", "b"]


def test_what_is_pulled_from_amc_reads_back_as_what_amc_has(tmp_path: Path) -> None:
    assert workflow_pull.pull(tmp_path, REMOTE, ["acme"], None, is_forced=False) == ("written", "")
    found, problems = read(tmp_path)
    assert problems == []
    workflow = found["reach.v2"]
    assert workflow.tenants == ("acme",)
    expected = {name: value for name, value in REMOTE.items() if value is not None}
    parameters = [dict(p) for p in REMOTE["inputParameters"]]  # type: ignore[union-attr]
    parameters[0]["dataType"] = {"type": "ARRAY", "elementDataType": "STRING"}
    assert amc_definition(workflow, ACME) == expected | {"inputParameters": parameters}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["reach.v2.sql", "reach.v2.yaml"]


@pytest.mark.parametrize("suffix", [".yaml", ".yml", ".json", ".sql"])
def test_a_pull_keeps_what_is_there_unless_forced(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"reach.v2{suffix}"
    path.write_text("mine")
    done, why = workflow_pull.pull(tmp_path, REMOTE, ["acme"], None, is_forced=False)
    assert done == "kept"
    assert path.name in why
    assert [p.read_text() for p in tmp_path.iterdir()] == ["mine"]
    assert workflow_pull.pull(tmp_path, REMOTE, ["acme"], None, is_forced=True) == ("written", "")
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".sql", ".yaml"]
    assert read(tmp_path)[1] == []


def test_a_forced_pull_leaves_what_only_amci_knows(tmp_path: Path) -> None:
    own = "version: 4\ntags: [daily]\nwindow: {type: PREVIOUS_MONTH}\nvalues: {acme: {x: 1}}\n"
    write(
        tmp_path,
        **{"reach.v2__yaml": f"{own}sql: SELECT 1\ninputParameters: [{{name: x, dataType: LONG}}]\n"},
    )
    before = read(tmp_path)[0]["reach.v2"]
    remote = REMOTE | {"sqlQuery": "SELECT 2", "inputParameters": [{"name": "x", "dataType": "LONG"}]}
    assert workflow_pull.pull(tmp_path, remote, ["acme"], before, is_forced=True) == ("written", "")
    after = read(tmp_path)[0]["reach.v2"]
    kept = ("version", "tags", "window", "values", "tenants", "all_tenants")
    assert [getattr(after, name) for name in kept] == [getattr(before, name) for name in kept]
    assert after.sql == "SELECT 2\n"


def test_a_pull_does_not_define_a_workflow_twice(tmp_path: Path) -> None:
    write(tmp_path, mine__yaml="workflow_id: reach.v2\nsql: SELECT 1\n")
    known = read(tmp_path)[0]["reach.v2"]
    done, why = workflow_pull.pull(tmp_path, REMOTE, ["acme"], known, is_forced=True)
    assert (done, why) == ("kept", "it is defined in a file of another name")
    assert [p.name for p in tmp_path.iterdir()] == ["mine.yaml"]


@pytest.mark.parametrize(
    "remote",
    [
        {"workflowId": "../../evil", "sqlQuery": "SELECT 1"},
        {"sqlQuery": "SELECT 1"},
        {"workflowId": "a", "sqlQuery": "SELECT 1", "inputParameters": [{"name": "x", "dataType": "MAP"}]},
    ],
)
def test_what_amci_could_not_read_is_not_written(tmp_path: Path, remote: dict[str, Any]) -> None:
    done, why = workflow_pull.pull(tmp_path / "workflows", remote, ["acme"], None, is_forced=True)
    assert done == "kept"
    assert "cannot read" in why
    assert list(tmp_path.rglob("*")) == []
