"""Uploaded rows and the users behind them (amc-api 2.5)."""

from __future__ import annotations

import json

import duckdb
import pytest

from amci.sandbox.uploads.identities import clear, identity

from .uploading import Uploading, Uploads

EMAIL = {
    "name": "email",
    "dataType": "STRING",
    "columnType": "DIMENSION",
    "externalUserIdType": {"hashedPii": "EMAIL"},
}
TIME = {"name": "sold_at", "dataType": "TIMESTAMP", "columnType": "METRIC", "isMainEventTime": True}
NAME = {"name": "product", "dataType": "STRING", "columnType": "DIMENSION"}
COUNT = {"name": "quantity", "dataType": "LONG", "columnType": "METRIC"}


def csv_of(*lines: str) -> bytes:
    return "\n".join(lines).encode() + b"\n"


def emails_of(*people: int) -> bytes:
    return csv_of("email,product", *[f"{identity('EMAIL', person)},p{person}" for person in people])


def test_rows_get_the_users_behind_their_identifiers(uploading: Uploading) -> None:
    up = uploading(scale=0.01)
    up.define(EMAIL, NAME, countryCode="US")
    shown = up.upload(emails_of(*range(1, 501)))
    matched, total = shown["message"].split()[0], shown["message"].split()[2]
    assert (total, shown["metrics"]) == ("500", {"OutputRowCount": 500})
    assert 370 <= int(matched) <= 430
    rows = up.rows('SELECT product, user_id, user_id_type, "amci user", "amci part" FROM amc.sales')
    for product, user_id, user_id_type, user, part in rows:
        assert (user_id is None) == (user == 0) == (user_id_type is None)
        assert user in (0, int(product[1:]))
        assert 0 <= part < 1 << 20
    assert len({user for *_, user, _ in rows}) == int(matched) + 1
    with pytest.raises(duckdb.BinderException):
        up.rows("SELECT email FROM amc.sales")


def test_clear_personal_data_fail_the_upload_and_are_not_repeated(up: Uploads) -> None:
    up.define(EMAIL, NAME)
    shown = up.upload(csv_of("email,product", f"{identity('EMAIL', 1)},a", "jane@example.com,b"))
    assert shown["status"] == "FAILED"
    assert shown["message"].startswith("sales.csv, line 3, column email: the value is not hashed")
    assert "jane" not in json.dumps(shown)


def test_columns_that_require_hashing_are_hashed_here(uploading: Uploading) -> None:
    up = uploading(scale=0.01)
    up.define({**EMAIL, "requiresOneWayHashing": True}, NAME, countryCode="US")
    mails = [f" {clear('EMAIL', person).upper()} " for person in range(1, 101)]
    up.upload(csv_of("email,product", *[f"{mail},clear" for mail in mails]))
    up.upload(emails_of(*range(1, 101)).replace(b",p", b",h").replace(b",hroduct", b",product"))
    found = up.rows('SELECT product[1:1], list_sort(list("amci user")) FROM amc.sales GROUP BY 1')
    assert len(found) == 2
    assert found[0][1] == found[1][1]
    assert len(set(found[0][1])) > 70


def test_a_column_of_ones_own_is_hashed_where_it_asks_for_it(up: Uploads) -> None:
    up.define({**NAME, "requiresOneWayHashing": True}, COUNT)
    up.upload()
    assert up.rows("SELECT bool_and(length(product) = 64) FROM amc.sales") == [(True,)]


def test_values_for_the_columns_amc_fills_are_not_taken(up: Uploads) -> None:
    up.define(EMAIL, NAME, countryCode="US")
    content = csv_of("email,product,user_id", *[f"{identity('EMAIL', n)},a,forged" for n in range(1, 30)])
    assert up.upload(content)["status"] == "SUCCESS"
    assert up.rows("SELECT count(*) FROM amc.sales WHERE user_id = 'forged'") == [(0,)]


def test_rows_without_a_country_are_warned_about(up: Uploads) -> None:
    country = {"name": "country", "dataType": "STRING", "columnType": "DIMENSION", "isCountryCode": True}
    up.define(EMAIL, country)
    rows = [f"{identity('EMAIL', n)},{'US' if n % 2 else ''}" for n in range(1, 11)]
    content = csv_of("email,country", *rows)
    assert "5 rows have no country code" in up.upload(content)["message"]
    assert "no country code" not in up.upload(content, countryCode="US")["message"]


def test_rows_of_people_who_denied_their_consent_are_not_taken(up: Uploads) -> None:
    consent = {
        "name": "consent",
        "dataType": "STRING",
        "columnType": "DIMENSION",
        "consentType": "amzn_user_data",
    }
    up.define(NAME, consent)
    shown = up.upload(b"product,consent\na,GRANTED\nb,DENIED\nc,\nd,denied\n")
    assert shown["metrics"] == {"OutputRowCount": 2}
    assert [row[0] for row in up.rows()] == ["a", "c"]


QUERY = """
SELECT s.product, COUNT(DISTINCT s.user_id) AS buyers, SUM(s.quantity) AS quantity
FROM sales s
WHERE s.user_id IN (SELECT user_id FROM dsp_impressions) GROUP BY 1
"""


def test_uploaded_rows_are_joined_with_amazons_in_a_workflow(uploading: Uploading) -> None:
    up = uploading(scale=0.01)
    up.define(EMAIL, TIME, NAME, COUNT, countryCode="US")
    rows = [
        f"{identity('EMAIL', n)},2026-10-29T10:00:00Z,{'Tent' if n % 40 else 'Kayak'},2"
        for n in range(1, 1000)
    ]
    rows += [f"{identity('EMAIL', n)},2026-09-29T10:00:00Z,Tent,1000" for n in range(1, 1000)]
    up.upload(csv_of("email,sold_at,product,quantity", *rows))
    window = {"timeWindowStart": "2026-10-27T00:00:00", "timeWindowEnd": "2026-10-31T00:00:00"}
    execution = up.amc.execute(workflow={"sqlQuery": QUERY}, timeWindowType="EXPLICIT", **window)
    header, *found = up.amc.download(execution).splitlines()
    assert header == "product,buyers,quantity"
    # of kayaks there are fewer than 100 buyers, and what was sold a month before is not in the window
    ((product, buyers, quantity),) = [line.split(",") for line in found]
    assert (product, int(quantity)) == ("Tent", 2 * int(buyers))
    assert int(buyers) >= 100
