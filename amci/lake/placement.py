"""Where the rows of a dataset without a placing transform belong: its table template and partitions."""

from __future__ import annotations

from amci.kernel.names import table_name
from amci.lake.model import Placement, RawObject


def placement(obj: RawObject) -> Placement:
    """The placement that `table` and `partition_by` of the dataset give."""
    names = _names(obj)
    return Placement(
        table=table_name(obj.dataset.table.format(**names)),
        partition=tuple((name, names[name]) for name in obj.dataset.partition_by if name in names),
        stem=obj.fields["file"].split(".", 1)[0] or "file",
    )


def _names(obj: RawObject) -> dict[str, str]:
    tenant = obj.tenant
    return {
        "prefix": tenant.table_prefix("") if tenant else "",
        "customer_hash": tenant.hash_value if tenant else "",
        **obj.fields,
        "team": obj.dataset.team,
        "dataset": obj.dataset.dataset,
    }
