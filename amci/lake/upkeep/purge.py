"""Taking everything of one tenant out of the lake."""

from __future__ import annotations

from dataclasses import dataclass

from amci.lake.catalog.catalog import Catalog, TableName
from amci.lake.catalog.duck import LEDGER


@dataclass(frozen=True, slots=True)
class Purged:
    """What is, or would be, taken out."""

    objects: int
    rows: int
    tables: tuple[str, ...]


def purge(catalog: Catalog, tenant_id: str, *, dry_run: bool) -> Purged:
    """Take the tenant's rows and ledger entries out, in one transaction; older snapshots keep them until expired.

    Its pre-stage files stay until `vacuum`, as after any other deletion.
    """
    with catalog.exclusive:
        entries = catalog.con.execute(
            f"SELECT object_id, version, schema_name, table_name, rows FROM {LEDGER} WHERE tenant_id = ?",
            [tenant_id],
        ).fetchall()
        versions: dict[TableName, set[tuple[int, int]]] = {}
        for object_id, version, schema, table, _ in entries:
            versions.setdefault(TableName(schema, table), set()).add((object_id, version))
        if entries and not dry_run:
            with catalog.transaction():
                for name, to_delete in versions.items():
                    catalog.delete(name, to_delete)
                catalog.forget(set().union(*versions.values()))
    return Purged(
        objects=len({object_id for object_id, *_ in entries}),
        rows=sum(rows for *_, rows in entries),
        tables=tuple(sorted(map(str, versions))),
    )
