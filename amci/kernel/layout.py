"""Names that carry meaning: AMC result files and their sidecars, partitions, staged files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from amci.kernel.errors import Unroutable

_RESULT = re.compile(
    r"(?P<stamp>\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}:\d{2}\.\d{3}Z)?)-(?P<base>[^.]+)\.(?P<ending>csv(?:\.gz|\.zst)?)",
    re.IGNORECASE,
)
#: What ends the names of typed files in pre-stage: not as those of text do, so that who reads all Parquet there reads
#: each row once.
TYPED = ".typed"
_ESCAPES = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_VERSION = re.compile(r"-ver(\d+)")


@dataclass(frozen=True, slots=True)
class ResultName:
    """The name of an AMC result file: `2026-11-01-reach-ver1.csv`, `2026-11-01T06:00:00.000Z-reach.csv`.

    The grammar is that of AMC's deliveries (amc-api 2.3) and of the AWS solution (aws-solution 3.5); what the
    solution let through or cut off (month 13, the second digit of `-ver12`) is refused or kept whole here.
    """

    export_time: datetime  #: aware, UTC; midnight if the name has a date only
    is_date_only: bool
    base: str  #: without stamp and ending
    ending: str  #: `csv`, `csv.gz` or `csv.zst`

    @classmethod
    def parse(cls, name: str) -> ResultName:
        """Raises Unroutable with the reason if `name` is not an AMC result's."""
        match = _RESULT.fullmatch(name)
        if match is None:
            raise Unroutable(
                "not the name of an AMC result file",
                hint="AMC writes YYYY-MM-DD-<name>.csv or YYYY-MM-DDTHH:MM:SS.mmmZ-<name>.csv",
            )
        try:
            moment = datetime.fromisoformat(match["stamp"].upper())
        except ValueError:
            raise Unroutable(f"{match['stamp']} in the file name is not a date that exists") from None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return cls(moment, "T" not in match["stamp"].upper(), match["base"], match["ending"])

    def __str__(self) -> str:
        stamp = (
            f"{self.export_time:%Y-%m-%d}"
            if self.is_date_only
            else f"{self.export_time:%Y-%m-%dT%H:%M:%S}.{self.export_time.microsecond // 1000:03}Z"
        )
        return f"{stamp}-{self.base}.{self.ending}"

    @property
    def stem(self) -> str:
        """Name of the staged file: the stamp without colons and dots, then the base."""
        stamp = str(self).removesuffix(f"-{self.base}.{self.ending}")
        return f"{re.sub('[:.]', '-', stamp)}-{self.base}"

    @property
    def query_version(self) -> str | None:
        """`ver12` if the base ends in or holds `-ver12`; the last one counts, with all its digits."""
        found = _VERSION.findall(self.base)
        return f"ver{found[-1]}" if found else None


def sidecar_of(path: Path) -> Path:
    """Where the sidecar of a raw file lies: a dot-file, so that it is never taken for a raw file itself."""
    return path.with_name(sidecar_name(path.name))


def sidecar_name(name: str) -> str:
    """The name of the sidecar of a raw file with this name."""
    return f".{name}.meta.json"


#: What Hive, Spark and DuckDB name the folder of rows that have no value.
_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"


def hive_path(partition: tuple[tuple[str, str | None], ...]) -> str:
    """`name=value/name=value`, with characters that have a meaning in paths as %XX; NULL has a folder of its own."""
    return "/".join(f"{name}={_HIVE_NULL if value is None else _escaped(value)}" for name, value in partition)


def hive_value(folder: str) -> str | None:
    """The value in a folder's name, behind `name=`, as Hive writes it; None for the folder of NULL.

    %XX are bytes of UTF-8. What is none, and NUL, which no path could have, stays as it is written.
    """
    if folder == _HIVE_NULL:
        return None
    return _ESCAPES.sub(_unescaped, folder) if "%" in folder else folder


def _unescaped(found: re.Match[str]) -> str:
    return "%00".join(map(_decoded, found[0].split("%00")))


def _decoded(escapes: str) -> str:
    try:
        return bytes.fromhex(escapes.replace("%", "")).decode()
    except UnicodeDecodeError:
        return escapes


def file_stem(text: str) -> str:
    """A file name that is safe everywhere, at most 120 bytes of UTF-8, from any text."""
    return _escaped(text).encode()[:120].decode(errors="ignore")


def _escaped(value: str) -> str:
    # The characters that DuckDB leaves as they are in a Hive path, so that a partition has one folder.
    if value == _HIVE_NULL:
        return value.replace("_", "%5F")
    safe = re.sub(r"[^A-Za-z0-9_.\-]", lambda m: "".join(f"%{b:02X}" for b in m[0].encode()), value)
    return safe if safe.strip(".") else safe.replace(".", "%2E")
