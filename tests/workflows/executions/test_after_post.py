"""Once AMC has an execution, or may have it, nothing that goes wrong here ends its run: it goes on later."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amci.kernel.errors import DataError, StorageError
from amci.kernel.run import RunStatus
from amci.workflows.amc.model import TimeWindow, WindowType
from amci.workflows.definitions.definition import Workflow
from amci.workflows.executions.results import path_of

from ..conftest import SQL, Desk

Trouble = Callable[[Desk], Callable[[], None]]  #: makes it; what comes back ends it
POST = "/workflowExecutions"


def _words(old: bytes, new: bytes) -> Trouble:
    """AMC's answers say something else for a while."""

    def begin(desk: Desk) -> Callable[[], None]:
        desk.words = {old: new}
        return desk.words.clear

    return begin


def _overlay(answer: Callable[[Desk, str, str], Any]) -> Trouble:
    def begin(desk: Desk) -> Callable[[], None]:
        desk.overlay = lambda method, url: answer(desk, method, url)
        return lambda: setattr(desk, "overlay", lambda _method, _url: None)

    return begin


def _raising(error: Exception) -> Trouble:
    """What stands between amci and AMC fails in its own way, whatever is asked."""

    def answer(_desk: Desk, _method: str, _url: str) -> Any:
        raise error

    return _overlay(answer)


def _broken_workflow(desk: Desk) -> Callable[[], None]:
    good = desk.workflows["reach"]
    desk.workflows["reach"] = Workflow(workflow_id="reach", sql="SELECT 'no end")
    return lambda: desk.workflows.update(reach=good)


def _lost_instance(desk: Desk) -> Callable[[], None]:
    good = desk.tenants["acme"]
    desk.tenants["acme"] = good.model_copy(update={"instance_id": ""})
    return lambda: desk.tenants.update(acme=good)


def _lost_account(desk: Desk) -> Callable[[], None]:
    good = desk.tenants["acme"]
    desk.tenants["acme"] = good.model_copy(update={"advertiser_id": ""})
    return lambda: desk.tenants.update(acme=good)


def _lost_tenant(desk: Desk) -> Callable[[], None]:
    good = desk.tenants.pop("acme")
    return lambda: desk.tenants.update(acme=good)


def _no_folder(desk: Desk) -> Callable[[], None]:
    """A file lies where the folder of results should be."""
    desk.raw.parent.mkdir(exist_ok=True)
    desk.raw.write_text("in the way")
    return desk.raw.unlink


def _files(*files: bytes) -> Trouble:
    """AMC hands out other files as the result."""

    def answer(_desk: Desk, _method: str, url: str) -> Any:
        if url.startswith("http://files.test/"):
            return 200, {}, files[int(url[-1])]
        if url.endswith("/downloadUrls"):
            urls = [f"http://files.test/{n}" for n in range(len(files))]
            return 200, {}, json.dumps({"downloadUrls": urls, "metadataDownloadUrls": []}).encode()
        return None

    return _overlay(answer)


def _note(text: str) -> Trouble:
    """A result that was brought before has a note that cannot be read."""

    def begin(desk: Desk) -> Callable[[], None]:
        def write(method: str, url: str) -> Any:
            if url.endswith("/downloadUrls"):
                return 404, {}, b'{"code": "404", "details": "not yet"}'
            return None

        desk.overlay = write

        def end() -> None:
            row = desk.row(1)
            path = desk.raw / "acme" / path_of(row)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("a\n1\n")
            Path(path.with_name(f".{path.name}.meta.json")).write_text(text)
            desk.overlay = lambda _method, _url: None

        return end

    return begin


LATER: dict[str, Trouble] = {
    "an unknown status": _words(b'"status":', b'"status":"DREAMING","was":'),
    "a time that is none": _words(b'"createTime":"', b'"createTime":"soon '),
    "a number that is none": _words(b'"executionTime":', b'"executionTime":"long","was":'),
    "an object without its id": _words(b'"workflowExecutionId"', b'"id"'),
    "values of no shape": _words(b'"parameterValues":{}', b'"parameterValues":[[]]'),
    "a refusal": _overlay(lambda _desk, _method, _url: (403, {}, b'{"code":"403","details":"no"}')),
    "a list that is none": _overlay(lambda _desk, _method, _url: (200, {}, b"[]")),
    "nothing": _overlay(lambda _desk, _method, _url: (200, {}, b"")),
    "a full disk": _raising(StorageError("no space left")),
    "bad data": _raising(DataError("what is this?")),
    "a fault of ours": _raising(ValueError("a bug")),
    "a workflow that was edited": _broken_workflow,
    "a tenant without its instance": _lost_instance,
    "a tenant without its account": _lost_account,
    "a tenant that was removed": _lost_tenant,
    "no folder for the result": _no_folder,
    "files that differ": _files(b"a\n1\n", b"b\n2\n"),
    "no files": _files(),
    "an empty file": _files(b""),
    "a page of a proxy": _files(b"<html><body>Log in</body></html>"),
    "a note that is no JSON": _note("{"),
    "a note without its rows": _note("{}"),
}


def _day(n: int) -> TimeWindow:
    return TimeWindow(
        type=WindowType.EXPLICIT, start=f"2026-10-{n}T00:00:00", end=f"2026-10-{n + 1}T00:00:00"
    )


ALONE = ("an unknown status", "a fault of ours", "a tenant that was removed", "files that differ")


@pytest.mark.spread(3)
@pytest.mark.parametrize(("name", "others"), [*((name, 2) for name in LATER), *((name, 0) for name in ALONE)])
def test_trouble_after_amc_took_a_request_delays_its_run(desk: Desk, name: str, others: int) -> None:
    run_ids = [desk.ask(window=_day(20 + n)) for n in range(1 + others)]
    desk.work()
    end = LATER[name](desk)
    for _ in range(6):  # AMC has ended it meanwhile
        desk.turn(minutes=2)
        desk.work()
        assert {desk.run(run_id).status for run_id in run_ids} <= {RunStatus.PENDING, RunStatus.SUCCEEDED}
    end()
    desk.finish()
    assert [(desk.run(run_id).status, desk.run(run_id).reason) for run_id in run_ids] == [
        (RunStatus.SUCCEEDED, None)
    ] * len(run_ids)
    assert [desk.run(run_id).attempts for run_id in run_ids] == [0] * len(run_ids)
    assert desk.posts() == len(desk.in_amc()) == len(run_ids)


@pytest.mark.parametrize(
    "fault",
    [StorageError("no space left"), DataError("what is this?"), ValueError("a bug"), OSError(28, "no space")],
    ids=lambda error: type(error).__name__,
)
def test_what_goes_wrong_once_the_request_is_out_leaves_it_to_be_found(desk: Desk, fault: Exception) -> None:
    def carried_out(method: str, url: str) -> Any:
        if method != "POST" or not url.endswith(POST):
            return None
        desk.overlay = lambda _method, _url: None
        desk.client().create_execution(desk.row(run_id).sent_request)
        raise fault

    run_id = desk.ask()
    desk.overlay = carried_out
    desk.finish()
    assert (desk.run(run_id).status, desk.run(run_id).reason) == (RunStatus.SUCCEEDED, None)
    assert len(desk.in_amc()) == 1


def test_what_never_gets_well_ends_with_the_deadline_and_a_redrive_goes_on(desk: Desk) -> None:
    run_id = desk.ask()
    desk.work()
    end = _raising(ValueError("a bug"))(desk)
    desk.finish()
    assert desk.run(run_id).status is RunStatus.FAILED
    end()
    desk.runs.redrive([run_id])
    desk.finish()
    assert desk.run(run_id).status is RunStatus.SUCCEEDED
    assert len(desk.in_amc()) == desk.posts() == 1


def test_the_hash_of_the_sql_is_that_of_what_was_asked_for(desk: Desk) -> None:
    run_id = desk.ask()
    desk.work()
    desk.workflows["reach"] = Workflow(workflow_id="reach", sql=SQL.replace("campaign", "advertiser"))
    desk.finish()
    other = desk.ask()
    desk.finish()
    first, second = (desk.note(desk.run(number).result["key"])["sql_hash"] for number in (run_id, other))
    assert first != second
