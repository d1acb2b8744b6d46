from __future__ import annotations

from typing import Any

import pytest

from amci.errors import SchemaConflict
from amci.lake.columns import Kind
from amci.lake.schema import Plan, plan


def planned(have: dict[str, str], want: dict[str, str], **more: Any) -> Plan:
    given = {"may_evolve": True, "holds_values": lambda _: True, "survives": lambda *_: True} | more
    return plan(have, want, **given)


def test_columns_that_fit_need_nothing() -> None:
    assert planned({"a": "DOUBLE", "b": "VARCHAR"}, {"b": "BIGINT", "a": "BIGINT"}).is_empty


def test_a_new_column_is_added_as_text_while_it_has_no_value() -> None:
    assert planned({"a": "BIGINT"}, {"a": "BIGINT", "b": Kind.NOTHING, "c": "DATE"}).add == {
        "b": "VARCHAR",
        "c": "DATE",
    }


@pytest.mark.parametrize(("have", "got"), [("BIGINT", "DOUBLE"), ("DATE", "TIMESTAMP")])
def test_what_the_lake_widens_in_place_is_not_rewritten(have: str, got: str) -> None:
    assert planned({"a": have}, {"a": got}) == Plan(widen={"a": got})


@pytest.mark.parametrize(("have", "got"), [("BIGINT", "VARCHAR"), ("BOOLEAN", "BIGINT"), ("DATE", "DOUBLE")])
def test_what_does_not_meet_becomes_text_by_a_rewrite(have: str, got: str) -> None:
    assert planned({"a": have}, {"a": got}) == Plan(rewrite={"a": "VARCHAR"})


def test_a_widening_that_would_lose_a_value_makes_text() -> None:
    found = planned({"a": "BIGINT"}, {"a": "DOUBLE"}, survives=lambda *_: False)
    assert found == Plan(rewrite={"a": "VARCHAR"})


def test_a_text_column_without_values_takes_any_type() -> None:
    assert planned({"a": "VARCHAR"}, {"a": "DATE"}, holds_values=lambda _: False) == Plan(
        rewrite={"a": "DATE"}
    )


@pytest.mark.parametrize("want", [{"b": "BIGINT"}, {"a": "DOUBLE"}, {"b": Kind.NOTHING}])
def test_a_frozen_schema_refuses_every_change(want: dict[str, str]) -> None:
    with pytest.raises(SchemaConflict):
        planned({"a": "BIGINT"}, want, may_evolve=False)


def test_a_frozen_schema_takes_what_fits() -> None:
    assert planned({"a": "DOUBLE"}, {"a": "BIGINT"}, may_evolve=False).is_empty
