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


@pytest.mark.parametrize(
    ("folder", "value"),
    [
        ("2026", "2026"),
        ("a%2Fb%20c", "a/b c"),
        ("..%2F..%2Fetc", "../../etc"),
        ("D%C3%BCsseldorf", "Düsseldorf"),
        ("ü=%25", "ü=%"),
        ("100%", "100%"),
        ("%zz%4", "%zz%4"),
        ("%FF", "%FF"),
        ("a%00", "a%00"),
        ("__HIVE_DEFAULT_PARTITION__", None),
    ],
)
def test_the_value_in_a_folder_of_hive_is_decoded(folder: str, value: str | None) -> None:
    route = router(a="{tenant}/region={region}/{file}").route(f"acme/region={folder}/f%20.csv")
    found = {} if value is None else {"region": value}
    assert route.fields == {"tenant": "acme", "file": "f%20.csv"} | found


@pytest.mark.parametrize(
    "pattern", ["{region}/{file}", "x-{region}/{file}", "r=x-{region}/{file}", "d/r={region}{file}"]
)
def test_other_folders_are_taken_as_they_are(pattern: str) -> None:
    key = pattern.replace("{region}", "a%20b").replace("{file}", "f")
    route = router(a=pattern).route(key)
    assert "%20" in route.fields["region"] + route.fields["file"]


def test_a_tenant_may_be_in_a_folder_of_hive_but_not_be_null() -> None:
    one = router(a="t={tenant}/{file}")
    assert one.route("t=ac%6De/f").tenant == TENANTS["acme"]
    with pytest.raises(Unroutable, match="that of rows without one"):
        one.route("t=__HIVE_DEFAULT_PARTITION__/f")
