"""Each instance has events of its own: a part of the seed's users, under ids that no other instance knows."""

from __future__ import annotations

import hashlib

from sqlglot import exp

from amci.names import quoted
from amci.amcsql.sources import Source

#: Where the tables lie in DuckDB; a CTE of a query may be called like one of them.
SCHEMA = "amc"
#: A column beside AMC's: the same number for all that belongs to one user, in every table.
DICE = "amci dice"
#: An instance sees two users of three; which ones depends on its id alone. The first is a prime.
_SIDES, _SEEN = 1_000_003, 666_669
#: Columns that tell one user or event from others.
_IDS = ("user_id", "request_tag", "event_id", "traffic_event_id", "conversion_id", "device_id")
#: What an event belongs to: its user, or itself where the user is not known.
_WHOSE = ("user_id", "request_tag", "event_id", "conversion_id")


def is_parted(found: Source) -> bool:
    """Whether instances see parts of this table; what knows no users is the same for all."""
    return any(column.name == "user_id" for column in found.columns)


def dice_of(found: Source) -> str:
    """The number of a row, in DuckDB's SQL."""
    have = [name for name in _WHOSE if any(column.name == name for column in found.columns)]
    return f"md5_number_lower(coalesce({', '.join(have)}))"


def part_macro(found: Source) -> str:
    """DuckDB's statement for the part of a table an instance sees.

    Parts are made while a query reads: a new instance costs nothing, and its old days stay as they were.
    """
    own = [
        f"md5(the_instance || {column.name}) AS {column.name}"
        for column in found.columns
        if column.name in _IDS
    ]
    return (
        f"CREATE MACRO {SCHEMA}.{_macro(found)}(the_instance, salt) AS TABLE"
        f" SELECT * EXCLUDE ({quoted(DICE)}) REPLACE ({', '.join(own)}) FROM {SCHEMA}.{quoted(found.name)}"
        f" WHERE xor({quoted(DICE)}, salt) % {_SIDES} < {_SEEN}"
    )


def part_of(found: Source, instance_id: str) -> exp.Table:
    """A table as an instance sees it; whole without one."""
    if not instance_id or not is_parted(found):
        return exp.table_(found.name, db=SCHEMA)
    digest = hashlib.sha256(instance_id.encode()).digest()
    salt = int.from_bytes(digest[:7])
    call = exp.Anonymous(
        this=_macro(found), expressions=[exp.Literal.string(f"{instance_id}|"), exp.Literal.number(salt)]
    )
    return exp.Table(this=call, db=exp.to_identifier(SCHEMA))


def _macro(found: Source) -> str:
    return f"part_of_{found.name}"
