"""Many small files, and one big one, for the bench."""

from __future__ import annotations

import random
import struct
from datetime import datetime, timedelta
from pathlib import Path

from amci.app.samples.model import DEVICES, PRODUCTS, arriving, seeded
from amci.app.samples.results import Result


def many_small(root: Path, files: int, rows: int, seed: int = 7) -> None:
    """Write `files` ad hoc AMC results of one workflow and one tenant below `root`, `rows` rows each.

    Raises StorageError if the disk refuses.
    """
    rng = seeded(seed, "many_small")
    tails = _tails(rng, len(_BENCH_COLUMNS))
    begin = datetime(2026, 9, 1)
    for n in range(files):
        stamp = (begin + timedelta(milliseconds=1_117 * n)).isoformat(timespec="milliseconds")
        result = Result("blue-kettle", "daily_delivery", "adhoc", f"{stamp}Z", rows)
        with arriving(root / result.key) as file:
            file.write(_header(len(_BENCH_COLUMNS)) + _block(rng, rows, tails))


def one_big(path: Path, rows: int, columns: int = 12, seed: int = 7) -> None:
    """Write one AMC-like CSV of `rows` rows: 30 dates, impressions and costs that seldom repeat.

    `columns` is 4 or more; those past the twelfth are whole numbers. Twelve take some 105 bytes a row.
    Raises StorageError if the disk refuses, ValueError for too few columns.
    """
    if columns <= _VARIED:
        raise ValueError(f"columns must be more than {_VARIED}, not {columns}")
    rng = seeded(seed, "one_big")
    tails = _tails(rng, columns)
    with arriving(path) as file:
        file.write(_header(columns))
        for done in range(0, rows, _BLOCK_ROWS):
            file.write(_block(rng, min(_BLOCK_ROWS, rows - done), tails))


_VARIED = 3  #: the leading columns that are drawn for each row; the others come from a pool of tails
_BENCH_COLUMNS = (
    *("event_date", "impressions", "total_cost", "campaign_id", "campaign", "ad_product_type", "device_type"),
    *("iso_country_code", "postal_code", "clicks", "purchases", "is_new_to_brand"),
)
_BLOCK_ROWS = 50_000
_TAIL_BITS = 13


def _header(columns: int) -> bytes:
    more = (f"metric_{n}" for n in range(len(_BENCH_COLUMNS) + 1, columns + 1))
    return (",".join([*_BENCH_COLUMNS, *more][:columns]) + "\n").encode()


def _tails(rng: random.Random, columns: int) -> list[str]:
    """What follows the drawn columns of a row, ready made."""
    more = range(len(_BENCH_COLUMNS), columns)
    tails = []
    for _ in range(2**_TAIL_BITS):
        campaign = rng.randrange(300)
        cells = [
            f"{580_114_690_337_710_021 + campaign * 7_919}",
            f'"Always on, {campaign:03d}"',
            rng.choice(PRODUCTS),
            rng.choice(DEVICES),
            rng.choice(("US", "CA", "MX")),
            f"{rng.randrange(501, 99_951):05d}",
            f"{rng.randrange(900)}",
            f"{rng.randrange(90)}" if rng.randrange(10) else "",
            rng.choice(("true", "false")),
            *(f"{rng.randrange(10_000)}" for _ in more),
        ]
        tails.append("," + ",".join(cells[: columns - _VARIED]) + "\n")
    return tails


def _block(rng: random.Random, rows: int, tails: list[str]) -> bytes:
    """Some rows; 96 random bits for each, drawn at once, for this has to write ten million quickly."""
    days = [f"2026-09-{day:02d}," for day in range(1, 31)]
    bits = struct.unpack(f"<{3 * rows}I", rng.randbytes(12 * rows))
    pick = 32 - _TAIL_BITS
    lines = [
        f"{days[a % 30]}{b % 999_983 + 1},{(c % 9_000_000 + 1_000) / 100_000}{tails[a >> pick]}"
        for a, b, c in zip(bits[::3], bits[1::3], bits[2::3], strict=True)
    ]
    return "".join(lines).encode()
