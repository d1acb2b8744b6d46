"""Login with Amazon (amc-api 1.1) and the headers of a call (amc-api 1.3)."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from amci.sandbox.options import SandboxLogin

from .calling import Caller, Calling

FIELDS = {"grant_type": "refresh_token", "refresh_token": "r", "client_id": "c", "client_secret": "s"}
FIRST, REAL = "r", "a-real-one"
LISTED = (SandboxLogin(client_id="c", client_secret="s", refresh_token="r"),)  # noqa: S106 - the sandbox's own


def test_a_form_gives_a_token_for_an_hour(amc: Caller) -> None:
    answer = amc.log_in()
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json["access_token"].startswith("Atza|")
    assert {name: answer.json[name] for name in ("refresh_token", "token_type", "expires_in")} == {
        "refresh_token": "r",
        "token_type": "bearer",
        "expires_in": 3600,
    }


def test_json_without_a_content_type_gives_one_too(amc: Caller) -> None:
    assert amc.send("POST", "/auth/o2/token", json.dumps(FIELDS)).status == 200


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"client_secret": ""}, 400, "invalid_request"),
        ({"refresh_token": ""}, 400, "invalid_request"),
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "other"}, 401, "invalid_client"),
        ({"refresh_token": "wrong"}, 400, "invalid_grant"),
    ],
)
def test_a_wrong_login_is_refused_in_oauths_words(
    calling: Calling, change: Any, status: int, error: str
) -> None:
    answer = calling(credentials=LISTED).log_in(**change)
    assert (answer.status, answer.json["error"]) == (status, error)
    assert answer.json["error_description"]


def test_a_listed_login_is_accepted(calling: Calling) -> None:
    assert calling(credentials=LISTED).log_in().status == 200


def test_an_authorization_code_is_good_once(amc: Caller) -> None:
    code = {
        "grant_type": "authorization_code",
        "refresh_token": "",
        "code": "x",
        "redirect_uri": "https://a.test",
    }
    first, second = amc.log_in(**code), amc.log_in(**code)
    assert first.json["refresh_token"].startswith("Atzr|")
    assert (second.status, second.json["error"]) == (400, "invalid_grant")


def test_a_rotated_refresh_token_takes_the_place_of_the_one_before(calling: Calling) -> None:
    amc = calling(credentials=LISTED, rotates_refresh_tokens=True)
    second = amc.log_in().json["refresh_token"]
    assert second != FIRST
    assert amc.log_in(refresh_token=FIRST).json["error"] == "invalid_grant"
    third = amc.log_in(refresh_token=second)
    assert third.status == 200
    assert amc.log_in(refresh_token=second).json["error"] == "invalid_grant"


@pytest.mark.parametrize(("minutes", "status"), [(59, 200), (60, 401)])
def test_an_access_token_ends_after_an_hour(amc: Caller, minutes: int, status: int) -> None:
    amc.log_in()
    amc.clock.turn(timedelta(minutes=minutes))
    answer = amc.ask("GET", "/workflows")
    assert answer.status == status
    if status == 401:
        assert answer.json == {"code": "401", "details": "Access token has expired"}


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("authorization", "", 401),
        ("authorization", "Bearer Atza|made-up", 401),
        ("amazon-advertising-api-clientid", "", 401),
        ("amazon-advertising-api-clientid", "other", 403),
        ("amazon-advertising-api-advertiserid", "ENTITYOTHER", 403),
        ("amazon-advertising-api-marketplaceid", "A1F83G8C2ARO7P", 403),
    ],
)
def test_who_may_not_call_is_told_so(amc: Caller, header: str, value: Any, status: int) -> None:
    answer = amc.ask("GET", "/workflows", **{header: value})
    assert (answer.status, answer.json["code"]) == (status, str(status))
    if status == 403:
        assert answer.json == {"code": "403", "details": "Unauthorized request"}


def test_a_token_outlives_the_process(calling: Calling) -> None:
    first = calling()
    first.log_in()
    second = calling()
    second.headers = first.headers
    assert second.ask("GET", "/workflows").status == 200


def test_no_token_lies_in_the_file(amc: Caller) -> None:
    amc.log_in(refresh_token=REAL)
    files = b"".join(path.read_bytes() for path in amc.directory.glob("sandbox.db*"))
    assert b"reach" in files
    assert REAL.encode() not in files
    assert amc.headers["authorization"].removeprefix("Bearer ").encode() not in files
