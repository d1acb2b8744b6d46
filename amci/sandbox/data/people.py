"""The people of the synthetic world, for uploads to find users among: made once, and kept as Parquet."""

from __future__ import annotations

from pathlib import Path

import duckdb

from amci.kernel.files import replacing
from amci.kernel.names import literal
from amci.sandbox.data.families import script
from amci.sandbox.data.generate import Making
from amci.sandbox.data.world import VERSION

_COLUMNS = 'person, user_id, user_id_type, "amci user", "amci part"'


def people_of(directory: Path, seed: int, scale: float) -> str:
    """A DuckDB relation with the people of a world: person, user_id, user_id_type, "amci user", "amci part".

    user_id is NULL where AMC does not know them. Raises StorageError.
    """
    path = directory / "people" / f"{VERSION}-{seed}-{scale:g}.parquet"
    if not path.exists():
        number = Making(folder=directory, seed=seed, scale=scale, families=()).people
        with replacing(path) as part:
            _make(part, seed, number)
    return f"SELECT {_COLUMNS} FROM read_parquet({literal(str(path))})"


def _make(target: Path, seed: int, number: int) -> None:
    """Only what `world.sql` does before it has the people, and that."""
    with duckdb.connect() as con:
        con.execute(f"CREATE TEMP MACRO seed() AS {int(seed)}")
        con.execute(f"CREATE TEMP MACRO population() AS {number}::BIGINT")
        for name, statement in script("world.sql").items():
            con.execute(statement)
            if name == "people":
                break
        con.execute(
            f"COPY (SELECT {_COLUMNS} FROM people ORDER BY person) TO {literal(str(target))} (FORMAT parquet)"
        )
