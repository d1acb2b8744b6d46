from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from amci.cli.app import app

DETAILS = {
    "customer_id": "acme",
    "customer_name": "Acme",
    "amc": {
        "instance_id": "amcacme",
        "amazon_ads_advertiser_id": "ENTITYACME",
        "amazon_ads_marketplace_id": "ATVPDKIKX0DER",
    },
}
YAML = """\
customer_details:
  customer_id: acme
  customer_name: Acme
  amc:
    instance_id: amcacme
    amazon_ads_advertiser_id: ENTITYACME
    amazon_ads_marketplace_id: ATVPDKIKX0DER
"""


@pytest.mark.parametrize(
    ("name", "text", "tenants"),
    [
        ("acme.json", json.dumps({"customer_details": DETAILS}), ["acme"]),
        ("acme.yaml", YAML, ["acme"]),
        ("all.json", json.dumps({"customers": [DETAILS, {"tenant": "bolt"}]}), ["acme", "bolt"]),
    ],
)
def test_apply_provisions_tenants_in_the_form_of_the_aws_solution(
    tmp_path: Path, name: str, text: str, tenants: list[str]
) -> None:
    (tmp_path / "config/tenants").mkdir(parents=True)
    (tmp_path / "config/tenants" / name).write_text(text)
    (tmp_path / "amci.yaml").write_text("notify: []\namc: {mode: sandbox}\n")

    def rows(*words: str) -> Any:
        called = CliRunner().invoke(app, [*words, "--json", "--home", str(tmp_path)], catch_exceptions=False)
        assert called.exit_code == 0, called.output
        return json.loads(called.stdout)

    done = rows("apply")
    assert [(row["kind"], row["tenant_id"], row["status"]) for row in done] == [
        ("provision", tenant, "SUCCEEDED") for tenant in tenants
    ]
    assert rows("plan") == []
