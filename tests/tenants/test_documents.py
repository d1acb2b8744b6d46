from __future__ import annotations

import copy
import io
from pathlib import Path
from typing import Any

import pytest

from amci.cli.tenant import parse_assignments, tenants_from_files
from amci.kernel.errors import ConfigError, UsageError
from amci.tenants.documents import tenants_from
from amci.tenants.model import Tenant

AWS: dict[str, Any] = {
    "customer_details": {
        "customer_id": "acme",
        "customer_name": "Acme Outdoor",
        "bucket_exists": "false",
        "bucket_account": "123456789012",
        "bucket_region": "us-east-1",
        "amc": {
            "endpoint_url": "https://old.execute-api.us-east-1.amazonaws.com/prod",
            "aws_orange_account_id": "210987654321",
            "bucket_name": "amc-acme-bucket",
            "instance_id": "amcr1aaaa1a",
            "amazon_ads_advertiser_id": "ENTITY1AAA",
            "amazon_ads_marketplace_id": "A1PA6795UKMFR9",
        },
    }
}
ACME = Tenant(
    tenant="acme",
    name="Acme Outdoor",
    instance_id="amcr1aaaa1a",
    advertiser_id="ENTITY1AAA",
    marketplace_id="A1PA6795UKMFR9",
    region="EU",
)


def aws(path: str, value: Any) -> dict[str, Any]:
    """The AWS document with one field changed, or without it where `value` is None."""
    document = copy.deepcopy(AWS)
    *folders, name = path.split(".")
    inner = document
    for folder in folders:
        inner = inner[folder]
    if value is None:
        del inner[name]
    else:
        inner[name] = value
    return document


def own(**more: Any) -> dict[str, Any]:
    fields = {"tenant": "acme", "instance_id": "amcr1aaaa1a", "advertiser_id": "ENTITY1"}
    return {**fields, "marketplace_id": "ATVPDKIKX0DER", **more}


def problems(document: Any) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        tenants_from(document, "c.json")
    return [f"{p.field}: {p.says}" for p in raised.value.problems]


def test_the_aws_solutions_request_is_a_tenant() -> None:
    assert tenants_from(AWS, "c.json").tenants == (ACME,)


def test_what_is_not_used_is_said_once() -> None:
    (note,) = tenants_from(AWS, "c.json").notes
    for name in ("bucket_name", "bucket_account", "bucket_region", "aws_orange_account_id", "endpoint_url"):
        assert name in note
    assert "raw/acme/" in note


@pytest.mark.parametrize("value", ["true", "false", True, False])
def test_bucket_exists_is_a_text_or_a_boolean(value: Any) -> None:
    assert tenants_from(aws("customer_details.bucket_exists", value), "c.json").tenants == (ACME,)


@pytest.mark.parametrize(("auth_id", "kept"), [("agency", "agency"), (None, "default")])
def test_credentials_are_named_by_auth_id(auth_id: str | None, kept: str) -> None:
    document = {"customer_details": AWS["customer_details"] | {"auth_id": auth_id}}
    (tenant,) = tenants_from(document, "c.json").tenants
    assert tenant.auth_id == kept


@pytest.mark.parametrize(
    "document",
    [
        [AWS, own(tenant="other")],
        {"customers": [AWS, own(tenant="other")]},
        {"tenants": [AWS["customer_details"], own(tenant="other")]},
        [AWS, {"customers": [own(tenant="other")]}],
    ],
)
def test_many_tenants_come_as_a_list(document: Any) -> None:
    found = tenants_from(document, "c.json").tenants
    assert [tenant.tenant for tenant in found] == ["acme", "other"]
    assert found[0] == ACME


def test_every_problem_of_every_document_is_listed_with_its_place() -> None:
    broken = aws("customer_details.amc.instance_id", None)
    del broken["customer_details"]["customer_name"]
    assert problems({"customers": [broken, own(slots=0), "acme"]}) == [
        "customers.0.customer_details.customer_name: field required",
        "customers.0.customer_details.amc.instance_id: field required",
        "customers.1.slots: input should be greater than or equal to 1",
        "customers.2: should be a mapping of keys to values",
    ]


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("customer_details.customer_id", None, "customer_details.customer_id: field required"),
        (
            "customer_details.customer_id",
            "a/b",
            "customer_details.customer_id: should be a folder name",
        ),
        ("customer_details.amc", None, "customer_details.amc: field required"),
        ("customer_details.customer_nam", "x", "unknown key (did you mean 'customer_name'?)"),
        ("customer_details.bucket_exists", "perhaps", "customer_details.bucket_exists: "),
        ("customer_details.amc.instance_id", "amc-1!", "customer_details.amc.instance_id: should be letters"),
        ("customer_details.amc.amazon_ads_advertiser_id", " ", "amc.amazon_ads_advertiser_id: string should"),
        ("also", "x", "also: unknown key beside customer_details"),
        ("customer_details", "x", "customer_details: should be a mapping"),
    ],
)
def test_a_wrong_aws_field_is_named_as_the_solution_names_it(path: str, value: Any, said: str) -> None:
    (problem,) = problems(aws(path, value))
    assert said in problem


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"advertiser_id": ""}, "advertiser_id: field required if there is an instance_id"),
        ({"marketplace_id": ""}, "marketplace_id: field required if there is an instance_id"),
        ({"advertiser_id": "ENTITY 1"}, "advertiser_id: should have no blanks and no special characters"),
        ({"region": "EU"}, "region: EU contradicts the marketplace: US is in NA"),
        ({"instance": "x"}, "instance: unknown key (did you mean 'instance_id'?)"),
        ({"tenant": "a" * 300}, "tenant: should have at most 200 bytes: it names files and folders"),
    ],
)
def test_a_field_of_ours_that_amc_would_refuse_is_a_problem(more: dict[str, Any], said: str) -> None:
    assert problems(own(**more)) == [said]


@pytest.mark.parametrize("document", [{"customers": []}, []])
def test_a_document_without_tenants_is_a_mistake(document: Any) -> None:
    assert problems(document) == [": it holds no tenant"]


@pytest.mark.parametrize(
    ("marketplace_id", "region"),
    [("ATVPDKIKX0DER", "NA"), ("A21TJRUUN4KGV", "EU"), ("A39IBJ37TRP1C6", "FE"), ("A1C3SOZRARQ6R3", "NA")],
)
def test_the_region_is_the_marketplaces(marketplace_id: str, region: str) -> None:
    (tenant,) = tenants_from(own(marketplace_id=marketplace_id), "c.yaml").tenants
    assert tenant.region == region


def test_a_region_may_be_given_for_a_marketplace_nobody_knows() -> None:
    (tenant,) = tenants_from(own(marketplace_id="A1C3SOZRARQ6R3", region="EU"), "c.yaml").tenants
    assert tenant.region == "EU"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"marketplace_id": "ATVPDKIKX0DE"}, "did you mean ATVPDKIKX0DER (US)?"),
        ({"marketplace_id": "de"}, "did you mean A1PA6795UKMFR9 (DE)?"),
        ({"instance_id": "xyz123"}, "instance ids begin with amc, xyz123 does not"),
    ],
)
def test_what_may_be_right_is_a_note(more: dict[str, Any], said: str) -> None:
    found = tenants_from(own(**more), "c.yaml")
    assert len(found.tenants) == 1
    (note,) = found.notes
    assert said in note


def test_files_and_standard_input_are_read_as_yaml_or_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "many.yaml").write_text("- tenant: one\n- tenant: '007'\n  name: on\n", encoding="utf-8")
    names = [str(tmp_path / "many.yaml"), "-"]
    monkeypatch.setattr("sys.stdin", io.StringIO('{"tenants": [{"tenant": "three"}]}'))
    found = tenants_from_files(names).tenants
    assert [(tenant.tenant, tenant.name) for tenant in found] == [("one", ""), ("007", "on"), ("three", "")]


def test_the_problems_of_all_files_are_listed(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("tenant: [\n", encoding="utf-8")
    (tmp_path / "twice.yaml").write_text("tenant: a\ntenant: b\n", encoding="utf-8")
    (tmp_path / "latin.yaml").write_bytes(b"tenant: caf\xe9\n")
    names = [str(tmp_path / name) for name in ("bad.yaml", "twice.yaml", "latin.yaml", "none.yaml")]
    with pytest.raises(ConfigError) as raised:
        tenants_from_files(names)
    assert [p.file for p in raised.value.problems] == names
    assert "stands twice" in raised.value.problems[1].says


def test_assignments_are_text_for_text_fields_and_yaml_for_others() -> None:
    pairs = ["name=Blue: Kettle", "slots=5", "tags=[household, pets]", "auth_id="]
    assert parse_assignments(pairs) == {
        "name": "Blue: Kettle", "slots": 5, "tags": ["household", "pets"], "auth_id": ""
    }  # fmt: skip


@pytest.mark.parametrize("pair", ["slots", "=5", ""])
def test_an_assignment_needs_a_key_and_a_sign(pair: str) -> None:
    with pytest.raises(UsageError, match="is not key=value"):
        parse_assignments([pair])
