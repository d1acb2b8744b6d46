from __future__ import annotations

from typing import Any

import pytest

from amci.kernel.errors import SchemaConflict
from amci.lake.catalog.kinds import Kind
from amci.lake.catalog.schema import SchemaPlan, plan


def planned(have: dict[str, str], want: dict[str, str], **more: Any) -> SchemaPlan:
    given = {"may_evolve": True, "survives": lambda *_: True} | more
    return plan(have, want, **given)


def test_columns_that_fit_need_nothing() -> None:
    assert planned({"a": "DOUBLE", "b": "VARCHAR"}, {"b": "BIGINT", "a": "BIGINT"}).is_empty


def test_a_new_column_is_added_also_while_it_has_no_value() -> None:
    assert planned({"a": "BIGINT"}, {"a": "BIGINT", "b": Kind.NOTHING, "c": "DATE"}).add == {
        "b": Kind.NOTHING,
        "c": "DATE",
    }


@pytest.mark.parametrize(("have", "got"), [("BIGINT", "DOUBLE"), ("DATE", "TIMESTAMP")])
def test_what_the_lake_widens_in_place_is_not_rewritten(have: str, got: str) -> None:
    assert planned({"a": have}, {"a": got}) == SchemaPlan(widen={"a": got})


@pytest.mark.parametrize(("have", "got"), [("BIGINT", "VARCHAR"), ("BOOLEAN", "BIGINT"), ("DATE", "DOUBLE")])
def test_what_does_not_meet_becomes_text_by_a_rewrite(have: str, got: str) -> None:
    assert planned({"a": have}, {"a": got}) == SchemaPlan(rewrite={"a": "VARCHAR"})


def test_a_widening_that_would_lose_a_value_makes_text() -> None:
    found = planned({"a": "BIGINT"}, {"a": "DOUBLE"}, survives=lambda *_: False)
    assert found == SchemaPlan(rewrite={"a": "VARCHAR"})


@pytest.mark.parametrize("may_evolve", [True, False])
def test_the_first_value_gives_a_column_its_type(may_evolve: bool) -> None:
    have = {"a": Kind.NOTHING, "b": Kind.NOTHING, "c": Kind.NOTHING}
    found = planned(have, {"a": "DATE", "b": "VARCHAR", "c": Kind.NOTHING}, may_evolve=may_evolve)
    assert found == SchemaPlan(rewrite={"a": "DATE"}, settle=("b",))


def test_text_stays_text() -> None:
    assert planned({"a": "VARCHAR"}, {"a": "DATE"}).is_empty


def test_only_a_typed_column_that_becomes_text_has_to_be_spelled_again() -> None:
    assert planned({"a": "BIGINT"}, {"a": "VARCHAR"}).makes_text
    assert not planned({"a": Kind.NOTHING}, {"a": "VARCHAR"}).makes_text
    assert not planned({"a": "BIGINT"}, {"a": "DOUBLE"}).makes_text


@pytest.mark.parametrize("want", [{"b": "BIGINT"}, {"a": "DOUBLE"}, {"b": Kind.NOTHING}])
def test_a_frozen_schema_refuses_every_change(want: dict[str, str]) -> None:
    with pytest.raises(SchemaConflict):
        planned({"a": "BIGINT"}, want, may_evolve=False)


def test_a_frozen_schema_takes_what_fits() -> None:
    assert planned({"a": "DOUBLE"}, {"a": "BIGINT"}, may_evolve=False).is_empty
