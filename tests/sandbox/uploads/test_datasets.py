"""Data sets that advertisers define, and their columns (amc-api 2.5)."""

from __future__ import annotations

from typing import Any

import pytest

from amci.sandbox.options import DEFAULT_INSTANCE, SandboxInstance

from ..calling import Caller, Calling

BASE = f"/amc/advertiserData/{DEFAULT_INSTANCE.instance_id}"
EMAIL = {
    "name": "email",
    "dataType": "STRING",
    "columnType": "DIMENSION",
    "externalUserIdType": {"hashedPii": "EMAIL"},
}
RAMP = {
    "name": "ramp",
    "dataType": "STRING",
    "columnType": "DIMENSION",
    "externalUserIdType": {"externalIdentity": "LIVERAMP"},
}
TIME = {"name": "bought_at", "dataType": "TIMESTAMP", "columnType": "METRIC", "isMainEventTime": True}
PRODUCT = {"name": "product", "dataType": "STRING", "columnType": "DIMENSION"}
QUANTITY = {"name": "quantity", "dataType": "LONG", "columnType": "METRIC"}
USER = {"name": "user_id", "dataType": "STRING", "columnType": "DIMENSION", "isMainUserId": True}
USER_TYPE = {"name": "user_type", "dataType": "STRING", "columnType": "DIMENSION", "isMainUserIdType": True}
COUNTRY = {"name": "country", "dataType": "STRING", "columnType": "DIMENSION", "isCountryCode": True}


def _set(*columns: Any, **more: Any) -> dict[str, Any]:
    return {"dataSetId": "sales", "columns": list(columns or (PRODUCT, QUANTITY)), **more}


def _create(amc: Caller, *columns: Any, **more: Any) -> Any:
    return amc.ask("POST", f"{BASE}/dataSets", {"dataSet": _set(*columns, **more)})


def _names(amc: Caller, data_set_id: str = "sales") -> list[str]:
    shown = amc.ask("GET", f"{BASE}/dataSets/{data_set_id}").json["dataSet"]
    return [column["name"] for column in shown["columns"]]


def test_a_data_set_is_made_and_shown_with_amcs_defaults(amc: Caller) -> None:
    answer = _create(amc, PRODUCT, description="What was sold", countryCode="US")
    assert (answer.status, answer.json) == (200, {"dataSetId": "sales", "instanceId": "amcsandbox1"})
    shown = amc.ask("GET", f"{BASE}/dataSets/sales")
    assert shown.headers["content-type"] == "application/vnd.amcadvertiserdataset.v1+json"
    assert shown.json == {
        "dataSet": {
            "dataSetId": "sales",
            "period": "P1D",
            "description": "What was sold",
            "countryCode": "US",
            "columns": [
                {
                    "name": "product",
                    "dataType": "STRING",
                    "columnType": "DIMENSION",
                    "nullable": True,
                    "isMainEventTime": False,
                    "isMainUserId": False,
                    "isMainUserIdType": False,
                    "isCountryCode": False,
                    "requiresOneWayHashing": False,
                }
            ],
        }
    }


def test_the_body_may_be_flat_as_in_amcs_examples(amc: Caller) -> None:
    assert amc.ask("POST", f"{BASE}/dataSets", _set()).status == 200


def test_where_there_are_identifiers_amc_adds_the_users(amc: Caller) -> None:
    _create(amc, EMAIL, PRODUCT)
    assert _names(amc) == ["email", "product", "user_id", "user_id_type"]


def test_the_users_may_be_defined_by_the_advertiser(amc: Caller) -> None:
    _create(amc, USER, USER_TYPE, EMAIL)
    assert _names(amc) == ["user_id", "user_type", "email"]


def test_the_older_spelling_of_an_identifier_is_understood(amc: Caller) -> None:
    old = {**PRODUCT, "name": "mail", "hashedExternalIdentity": {"identifierType": "EMAIL"}}
    _create(amc, old)
    shown = amc.ask("GET", f"{BASE}/dataSets/sales").json["dataSet"]["columns"][0]
    assert shown["externalUserIdType"] == {"hashedPii": "EMAIL"}


@pytest.mark.parametrize(
    ("columns", "more", "said"),
    [
        ((), {"dataSetId": "Sales"}, "dataSetId is required"),
        ((), {"dataSetId": "my-sales"}, "dataSetId is required"),
        ((), {"dataSetId": ""}, "dataSetId is required"),
        ((), {"period": "P1W"}, "period must be one of PT1H, P1D, P1M"),
        ((), {"countryCode": "usa"}, "countryCode must be two capital letters"),
        ((), {"description": 7}, "description must be a string"),
        ((), {"columns": []}, "columns must be a list of 1 to 500 columns"),
        ((), {"columns": "all"}, "columns must be a list of 1 to 500 columns"),
        (("product",), {}, "columns[0] must be an object"),
        (({**PRODUCT, "name": "my product"},), {}, "name must begin with a letter"),
        (({**PRODUCT, "name": "select"},), {}, "'select' is a word of SQL"),
        (({**PRODUCT, "name": 'x"; DROP TABLE y --'},), {}, "name must begin with a letter"),
        (({**PRODUCT, "dataType": "BOOLEAN"},), {}, "dataType must be one of STRING"),
        (({**PRODUCT, "columnType": "FACT"},), {}, "columnType must be DIMENSION or METRIC"),
        (({**PRODUCT, "nullable": "yes"},), {}, "nullable must be true or false"),
        ((PRODUCT, {**PRODUCT, "name": "PRODUCT"}), {}, "Column product is defined 2 times"),
        ((TIME, {**TIME, "name": "sold_at"}), {}, "Only one column may have isMainEventTime, 2 have"),
        (({**TIME, "dataType": "STRING"},), {}, "isMainEventTime must be TIMESTAMP or DATE"),
        ((COUNTRY, {**COUNTRY, "name": "land"}), {}, "Only one column may have isCountryCode"),
        ((EMAIL, {**USER, "columnType": "METRIC"}), {}, "cannot be a METRIC"),
        ((EMAIL, {**USER, "name": "who"}), {}, "must be called user_id"),
        ((USER, PRODUCT), {}, "needs a column with externalUserIdType"),
        ((EMAIL, USER_TYPE), {}, "isMainUserIdType needs one with isMainUserId"),
        ((EMAIL, {**PRODUCT, "name": "user_id"}), {}, "Column user_id is one that AMC adds"),
        ((EMAIL, {**EMAIL, "name": "mail"}), {}, "Only one column may be of type EMAIL"),
        (({**EMAIL, "externalUserIdType": {"hashedPii": "SHOE_SIZE"}},), {}, "externalUserIdType must have"),
        (({**EMAIL, "externalUserIdType": "EMAIL"},), {}, "externalUserIdType must have"),
        (({**EMAIL, "dataType": "LONG"},), {}, "with externalUserIdType must be STRING"),
        (({**EMAIL, "isCountryCode": True},), {}, "can be nothing else"),
        (({**PRODUCT, "consentType": "MAYBE"},), {}, "consentType must be one of TCF"),
        (
            (RAMP, PRODUCT),
            {},
            "data set sales specified 1 external user ID column(s) (RampID) but no main user ID column.",
        ),
    ],
)
def test_a_data_set_that_makes_no_sense_is_refused(amc: Caller, columns: Any, more: Any, said: str) -> None:
    answer = _create(amc, *columns, **more)
    assert answer.status == 400
    assert said in answer.details
    assert amc.ask("POST", f"{BASE}/dataSets/list").json == {"dataSets": []}


def test_all_problems_are_named_at_once_in_amcs_error_body(amc: Caller) -> None:
    answer = _create(amc, {**PRODUCT, "dataType": "TEXT"}, {"name": "2"}, dataSetId="X", period="P1Y")
    assert answer.status == 400
    assert answer.json.keys() == {"code", "details", "errors", "requestId"}
    assert answer.json["code"] == "400"
    assert len(answer.json["errors"]) == 6
    assert [error.split(":")[0] for error in answer.json["errors"][2:]] == ["columns[0]"] + ["columns[1]"] * 3


def test_a_ramp_id_is_good_beside_a_main_user_id_or_personal_data(amc: Caller) -> None:
    assert _create(amc, RAMP, USER).status == 200
    assert _create(amc, RAMP, EMAIL, dataSetId="other").status == 200


def test_a_data_set_is_made_once(amc: Caller) -> None:
    _create(amc)
    assert _create(amc).details == "Data set with ID sales already exists."


def test_data_sets_are_listed_a_page_at_a_time(amc: Caller) -> None:
    for name in "abcde":
        _create(amc, dataSetId=name)
    seen, token = [], ""
    while True:
        answer = amc.ask("POST", f"{BASE}/dataSets/list?maxResults=2&nextToken={token}").json
        seen += [[each["dataSetId"] for each in answer["dataSets"]]]
        token = answer.get("nextToken", "")
        if not token:
            break
    assert seen == [["a", "b"], ["c", "d"], ["e"]]


@pytest.mark.parametrize("query", ["maxResults=0", "maxResults=101", "maxResults=x", "nextToken=x"])
def test_a_page_nobody_can_give_is_refused(amc: Caller, query: str) -> None:
    assert amc.ask("POST", f"{BASE}/dataSets/list?{query}").status == 400


def test_description_and_country_code_can_be_changed_and_nothing_else(amc: Caller) -> None:
    _create(amc)
    answer = amc.ask("PUT", f"{BASE}/dataSets/sales", {"description": "new", "countryCode": "DE"})
    assert (answer.json["dataSet"]["description"], answer.json["dataSet"]["countryCode"]) == ("new", "DE")
    refused = amc.ask("PUT", f"{BASE}/dataSets/sales", {"period": "P1M"})
    assert (refused.status, refused.details) == (400, "period cannot be changed.")


def test_a_data_set_is_deleted_for_ever(amc: Caller) -> None:
    _create(amc)
    assert amc.ask("DELETE", f"{BASE}/dataSets/sales").json == {
        "dataSetId": "sales",
        "instanceId": "amcsandbox1",
    }
    missing = amc.ask("GET", f"{BASE}/dataSets/sales")
    assert (missing.status, missing.details) == (404, "Data set with ID sales does not exist.")
    assert missing.json["errors"] == ["Data set with ID sales does not exist."]


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", ""), ("DELETE", ""), ("POST", "/columns"), ("PUT", "/columns/a"), ("DELETE", "/columns/a")],
)
def test_nothing_can_be_done_to_a_data_set_that_is_not_there(amc: Caller, method: str, path: str) -> None:
    assert amc.ask(method, f"{BASE}/dataSets/nothing{path}", {}).status == 404


def test_columns_are_added_renamed_and_deleted(amc: Caller) -> None:
    _create(amc)
    columns = f"{BASE}/dataSets/sales/columns"
    assert amc.ask("POST", columns, {"column": {**PRODUCT, "name": "shop"}}).status == 200
    assert amc.ask("PUT", f"{columns}/product", {"updatedColumnName": "item"}).status == 200
    assert amc.ask("PUT", f"{columns}/item", {"updateDescription": "sold"}).status == 200
    assert amc.ask("DELETE", f"{columns}/quantity").status == 200
    assert _names(amc) == ["item", "shop"]
    assert amc.ask("GET", f"{BASE}/dataSets/sales").json["dataSet"]["columns"][0]["description"] == "sold"


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (USER, "cannot be added; create another data set"),
        (USER_TYPE, "cannot be added; create another data set"),
        (TIME, "cannot be added; create another data set"),
        (EMAIL, "without a main user ID column cannot get an identifier"),
        ({**QUANTITY, "name": "price", "nullable": False}, "must be nullable"),
        (QUANTITY, "Column quantity is defined 2 times"),
        ({"name": "x"}, "dataType must be one of"),
    ],
)
def test_a_column_that_cannot_be_added_is_refused(amc: Caller, column: Any, said: str) -> None:
    _create(amc)
    answer = amc.ask("POST", f"{BASE}/dataSets/sales/columns", {"column": column})
    assert answer.status == 400
    assert said in answer.details
    assert _names(amc) == ["product", "quantity"]


@pytest.mark.parametrize(
    ("method", "name", "body", "status", "said"),
    [
        ("DELETE", "bought_at", None, 400, "it has isMainEventTime"),
        ("DELETE", "user_id", None, 400, "it has isMainUserId"),
        ("DELETE", "nothing", None, 404, "Column with ID nothing does not exist."),
        ("PUT", "user_id", {"updatedColumnName": "who"}, 400, "cannot be renamed"),
        ("PUT", "product", {"updatedColumnName": "bought_at"}, 400, "is defined 2 times"),
        ("PUT", "product", {"updatedColumnName": "my product"}, 400, "must begin with a letter"),
        ("PUT", "product", {"updateDescription": 1}, 400, "must be a string"),
        ("PUT", "nothing", {"updatedColumnName": "x"}, 404, "Column with ID nothing does not exist."),
    ],
)
def test_a_change_of_columns_that_makes_no_sense_is_refused(
    amc: Caller, method: str, name: str, body: Any, status: int, said: str
) -> None:
    _create(amc, EMAIL, TIME, PRODUCT)
    answer = amc.ask(method, f"{BASE}/dataSets/sales/columns/{name}", body)
    assert answer.status == status
    assert said in answer.details


def test_the_last_column_stays(amc: Caller) -> None:
    _create(amc, PRODUCT)
    assert "the only one" in amc.ask("DELETE", f"{BASE}/dataSets/sales/columns/product").details


def test_data_sets_are_among_the_data_sources(amc: Caller) -> None:
    _create(amc, EMAIL, TIME, PRODUCT, QUANTITY)
    source = amc.ask("GET", "/dataSources/sales").json
    assert (source["owner"], source["provider"]) == ("CUSTOMER", "ADVERTISER_DATA_UPLOAD")
    assert {column["name"]: column["sensitivity"] for column in source["columns"]} == {
        "bought_at": "HIGH",
        "product": "HIGH",
        "quantity": "HIGH",
        "user_id": "VERY_HIGH",
        "user_id_type": "HIGH",
    }
    assert "sales" in [each["dataSourceId"] for each in amc.ask("GET", "/dataSources").json["dataSources"]]


def test_an_uploaded_data_set_wins_over_amazons_table_of_the_same_name(amc: Caller) -> None:
    assert amc.ask("GET", "/dataSources/conversions").json["owner"] == "AMAZON"
    _create(amc, dataSetId="conversions")
    assert amc.ask("GET", "/dataSources/conversions").json["owner"] == "CUSTOMER"


def test_another_account_sees_nothing_of_it(calling: Calling) -> None:
    other = SandboxInstance(
        instance_id="amcother", entity_id="ENTITYOTHER", marketplace_id="ATVPDKIKX0DER", name="other"
    )
    amc = calling(instances=(DEFAULT_INSTANCE, other))
    _create(amc)
    foreign = {"amazon-advertising-api-advertiserid": "ENTITYOTHER"}
    assert amc.ask("GET", f"{BASE}/dataSets/sales", **foreign).status == 403
    assert amc.ask("POST", "/amc/advertiserData/amcother/dataSets/list", **foreign).json == {"dataSets": []}


def test_amcs_terms_have_to_be_accepted(calling: Calling) -> None:
    known = SandboxInstance(
        instance_id="amcsandbox1",
        entity_id="ENTITYSANDBOX",
        marketplace_id="ATVPDKIKX0DER",
        name="sandbox",
        has_accepted_terms=False,
    )
    assert _create(calling(instances=(known,))).status == 401
