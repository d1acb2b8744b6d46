"""What a transform may give and what becomes of it; asked of the engine, since that is where people meet it."""

from __future__ import annotations

from typing import Any

import pytest

KEY = "adtech/d/t/a.csv"


def loaded(site: Any, file: str, source: str, *, stage: str = "heavy") -> list[tuple[Any, ...]]:
    site.dataset("d", **{stage: file.split(".", maxsplit=1)[0]})
    site.transform(file, source)
    site.put(KEY, "Some Value,b\n1,x\n2,y\n")
    site.drain()
    return list(site.query("SELECT * EXCLUDE (_object_id, _version) FROM adtech_d.t ORDER BY ALL"))


@pytest.mark.parametrize(
    "body",
    [
        "return rows.project('some_value + 1 AS some_value, b')",
        "return rows.project('some_value + 1 AS some_value, b').to_arrow_table()",
        "return rows.project('some_value + 1 AS some_value, b').pl()",
        "return rows.project('some_value + 1 AS some_value, b').pl().lazy()",
    ],
    ids=["relation", "Arrow table", "Polars frame", "Polars lazy frame"],
)
def test_a_transform_may_return_what_its_author_likes(site: Any, body: str) -> None:
    assert loaded(site, "more.py", f"def more(rows):\n    {body}\n") == [(2, "x"), (3, "y")]


def test_a_sql_transform_knows_the_object(site: Any) -> None:
    source = "SELECT some_value, getvariable('key') AS k, getvariable('dataset') AS d FROM rows"
    assert loaded(site, "more.sql", source) == [(1, KEY, "d"), (2, KEY, "d")]


def test_a_light_transform_sees_text(site: Any) -> None:
    source = "SELECT some_value || '0' AS some_value FROM rows"
    assert loaded(site, "more.sql", source, stage="light") == [(10,), (20,)]


@pytest.mark.parametrize(
    ("file", "source", "says"),
    [
        ("bad.py", "def bad(rows):\n    return 7\n", "returned int"),
        ("bad.py", "def bad(rows):\n    raise KeyError('secret-4711')\n", "raised KeyError"),
        ("bad.sql", "DROP TABLE rows", "one SELECT"),
        ("bad.sql", "SELECT 1; SELECT 2", "one SELECT"),
        ("bad.sql", "SELECT nothing_such FROM rows", "nothing_such"),
    ],
)
def test_a_transform_at_fault_is_named_and_its_object_is_in_quarantine(
    site: Any, file: str, source: str, says: str
) -> None:
    site.dataset("d", heavy="bad")
    site.transform(file, source)
    site.put(KEY, "v\n1\n")
    assert site.drain().tally.failed == 1
    reason = site.quarantined()[KEY]
    assert "transform bad" in reason
    assert says in reason
    assert "4711" not in reason


def test_a_transform_may_skip_an_object_and_its_older_rows_go(site: Any) -> None:
    site.dataset("d", heavy="choosy")
    site.transform(
        "choosy.py",
        "from amci import Skip\n"
        "def choosy(rows, obj):\n"
        "    return Skip('not wanted') if obj.version > 1 else rows\n",
    )
    site.put(KEY, "v\n1\n")
    site.drain()
    site.put(KEY, "v\n2\n")
    assert site.drain().tally.skipped == 1
    assert site.query("SELECT count(*) FROM adtech_d.t") == [(0,)]


def test_no_value_of_a_folder_leads_out_of_the_stages(site: Any) -> None:
    site.dataset("d", pattern="'{team}/{dataset}/region={region}/{file}'", light="by_region")
    region = "(('region', obj.fields['region']),)"
    site.transform(
        "by_region.py",
        "from amci import Placement\n"
        f"def by_region(obj):\n    return Placement(table=obj.fields['region'], partition={region})\n",
    )
    for number, folder in enumerate(["..%2F..%2F..%2Fx", "%2E%2E", "a%2Fb"]):
        site.put(f"adtech/d/region={folder}/{number}.csv", f"v\n{number}\n")
    site.drain()
    assert site.quarantined() == {}
    folders = {path.parts[-3] for path in site.workspace.pre_stage.rglob("*.parquet")}
    written = {path for path in site.workspace.home.rglob("*.parquet") if "stage" not in path.parts}
    assert (len(folders), written) == (3, set())
    assert site.query("SELECT region, v FROM adtech_d.a_b") == [("a/b", 2)]
