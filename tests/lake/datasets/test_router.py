from __future__ import annotations

import pytest

from amci.kernel.errors import Unroutable
from amci.lake.datasets.dataset import Dataset
from amci.lake.datasets.router import Router
from amci.tenants.model import Tenant

TENANTS = {"acme": Tenant(tenant="acme")}


def router(**patterns: str) -> Router:
    return Router([Dataset(dataset=name, pattern=p) for name, p in patterns.items()], TENANTS)


def test_placeholders_take_their_parts_of_the_key() -> None:
    route = router(a="{tenant}/w={workflow}/{file}.csv").route("acme/w=x y/f.1.csv")
    assert route.dataset.dataset == "a"
    assert route.tenant == TENANTS["acme"]
    assert route.fields == {"tenant": "acme", "workflow": "x y", "file": "f.1"}


def test_the_more_specific_pattern_wins() -> None:
    both = router(loose="{x}/{file}", tight="x/{file}")
    assert both.route("x/f").dataset.dataset == "tight"
    assert both.route("y/f").dataset.dataset == "loose"


@pytest.mark.parametrize("key", ["a/b/c", "a", "x/\nf/", "/f"])
def test_what_no_pattern_takes_is_refused(key: str) -> None:
    with pytest.raises(Unroutable, match="no dataset"):
        router(a="{x}/{file}").route(key)


def test_two_equally_good_patterns_are_a_question_not_a_guess() -> None:
    with pytest.raises(Unroutable, match="equally well"):
        router(a="{x}/{file}", b="{y}/{file}").route("k/f")


def test_an_unknown_tenant_is_named_with_the_one_that_was_meant() -> None:
    with pytest.raises(Unroutable, match="did you mean 'acme'"):
        router(a="{tenant}/{file}").route("acne/f")


def test_text_of_a_pattern_is_no_regular_expression() -> None:
    with pytest.raises(Unroutable):
        router(a="a.b+/{file}").route("axbb/f")
    assert router(a="a.b+/{file}").route("a.b+/f").fields == {"file": "f"}
