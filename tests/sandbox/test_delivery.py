"""Results behind links that expire, and in a bucket (amc-api 2.2, 2.3)."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from amci.sandbox.options import SandboxInstance

from .calling import Caller, Calling

MINUTE = timedelta(minutes=1)
SQL = "SELECT campaign, SUM(impressions) AS impressions FROM dsp_impressions GROUP BY 1"


def _links(amc: Caller, execution: str) -> Any:
    return amc.ask("GET", f"/workflowExecutions/{execution}/downloadUrls")


def test_a_result_is_fetched_with_a_link_and_no_login(amc: Caller) -> None:
    links = _links(amc, amc.execute()).json
    answer = amc.send("GET", links["downloadUrls"][0])
    assert (answer.status, answer.headers["content-type"]) == (200, "text/csv")
    assert answer.content == b"a\n1\n"


def test_metadata_tell_the_sql_and_the_number_of_rows(amc: Caller) -> None:
    execution = amc.execute(parameterValues={"p": 1})
    about = amc.send("GET", _links(amc, execution).json["metadataDownloadUrls"][0]).json
    assert about["workflowExecutionId"] == execution
    assert about["sqlQuery"] == "SELECT a FROM (VALUES (1)) AS v(a)"
    assert (about["rowCount"], about["parameterValues"]) == (1, {"p": 1})
    assert about["outputColumns"] == [{"columnType": "DIMENSION", "dataType": "INTEGER", "name": "a"}]


def test_a_result_that_is_not_there_yet_is_unavailable_in_amcs_words(calling: Calling) -> None:
    amc = calling(running=MINUTE)
    amc.workflow()
    execution = amc.execute()
    answer = _links(amc, execution)
    assert answer.status == 404
    assert answer.json == {
        "code": "404",
        "details": f"Execution with ID {execution} is unavailable for download.",
    }


@pytest.mark.parametrize(("minutes", "status"), [(9, 200), (10, 403), (60, 403)])
def test_a_link_is_good_for_ten_minutes(amc: Caller, minutes: int, status: int) -> None:
    url = _links(amc, amc.execute()).json["downloadUrls"][0]
    amc.clock.turn(minutes * MINUTE)
    answer = amc.send("GET", url)
    assert answer.status == status
    if status == 403:
        assert b"Request has expired" in answer.content


@pytest.mark.parametrize(
    ("old", "new"), [("Signature=", "Signature=0"), ("Expires=", "Expires=9"), ("amcsandbox1", "amcsandbox2")]
)
def test_a_link_cannot_be_changed(amc: Caller, old: str, new: str) -> None:
    url = _links(amc, amc.execute()).json["downloadUrls"][0]
    answer = amc.send("GET", url.replace(old, new))
    assert answer.status == 403
    assert b"Access Denied" in answer.content


def test_a_link_outlives_the_process(calling: Calling) -> None:
    first = calling()
    url = _links(first, first.execute(sqlQuery="SELECT 1 AS a")).json["downloadUrls"][0]
    assert calling().send("GET", url).content == b"a\n1\n"


def test_the_same_question_has_the_same_answer(amc: Caller) -> None:
    amc.workflow("sums", SQL)
    week = {"workflowId": "sums", "timeWindowType": "MOST_RECENT_WEEK"}
    results = [amc.download(amc.execute(**week)) for _ in range(2)]
    assert results[0] == results[1]
    assert len(results[0].splitlines()) > 2


def test_a_day_later_there_are_events_of_a_day_later(amc: Caller) -> None:
    days = "SELECT MAX(impression_date_utc) AS d FROM dsp_impressions"
    amc.workflow("days", days)
    first = amc.download(amc.execute(workflowId="days"))
    amc.clock.turn(timedelta(days=100))
    amc.log_in()
    second = amc.download(amc.execute(workflowId="days"))
    assert (first, second) == ("d\n2026-10-29\n", "d\n2027-02-06\n")


def test_an_anchor_ends_the_events(calling: Calling) -> None:
    from datetime import date

    amc = calling(anchor=date(2026, 10, 20))
    sql = "SELECT MAX(impression_date_utc) AS d FROM dsp_impressions"
    execution = amc.execute(sqlQuery=sql, timeWindowType="ALL")
    assert amc.download(execution) == "d\n2026-10-20\n"


def test_a_bucket_gets_results_as_amc_lays_them_out(calling: Calling, tmp_path: Path) -> None:
    amc = calling(bucket=tmp_path / "bucket")
    amc.workflow()
    uri = amc.execution(amc.execute())["outputS3URI"]
    key = "workflow=reach/schedule=adhoc/2026-11-01T06:00:00.000Z-reach.csv"
    assert uri == f"s3://{amc.instance.bucket_name}/{key}"
    assert (tmp_path / "bucket" / key).read_text(encoding="utf-8") == "a\n1\n"
    about = tmp_path / "bucket/workflow=reach/schedule=adhoc/metadata/2026-11-01T06:00:00.000Z-reach.json"
    assert json.loads(about.read_text(encoding="utf-8"))["rowCount"] == 1


def test_what_is_not_to_be_published_is_not(calling: Calling, tmp_path: Path) -> None:
    amc = calling(bucket=tmp_path / "bucket")
    amc.workflow()
    execution = amc.execute(skipPublish=True)
    assert amc.execution(execution)["outputS3URI"] == "N/A"
    assert not (tmp_path / "bucket").exists()
    assert amc.download(execution) == "a\n1\n"


def test_several_instances_have_a_bucket_each(calling: Calling, tmp_path: Path) -> None:
    instances = tuple(
        SandboxInstance(instance_id=name, entity_id="E", marketplace_id="M", name=name)
        for name in ("one", "two")
    )
    amc = calling(bucket=tmp_path / "bucket", instances=instances)
    amc.workflow()
    amc.status(amc.execute())
    (folder,) = (tmp_path / "bucket").iterdir()
    assert folder.name == instances[0].bucket_name
    assert folder.name.startswith("amc-one-")
