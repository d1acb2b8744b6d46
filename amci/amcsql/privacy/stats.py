"""What is counted for each row of a result, as columns beside it (amc-api 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from amci.kernel.names import quoted

#: Distinct users, effective users, equivalent users: the smallest number, and the path whose users these are.
STATS = (
    "amci users",
    "amci users of",
    "amci effective",
    "amci effective of",
    "amci equivalent",
    "amci equivalent of",
)


@dataclass(slots=True)
class UserCounts:
    """Numbers of a row: SQL that is NULL if a number does not matter, and the path whose users it counts."""

    users: list[tuple[str, int]] = field(default_factory=list)
    effective: list[tuple[str, int]] = field(default_factory=list)
    equivalent: list[tuple[str, int]] = field(default_factory=list)

    def columns(self) -> str:
        """As columns of a SELECT."""
        parts = []
        for place, numbers in enumerate((self.users, self.effective, self.equivalent)):
            least = _least([sql for sql, _ in numbers])
            parts += [
                f"{least} AS {quoted(STATS[2 * place])}",
                f"{_path(least, numbers)} AS {quoted(STATS[2 * place + 1])}",
            ]
        return ", ".join(parts)


def _least(numbers: Sequence[str]) -> str:
    """The smallest that is not NULL."""
    if not numbers:
        return "CAST(NULL AS BIGINT)"
    return numbers[0] if len(numbers) == 1 else f"least({', '.join(numbers)})"


def _path(least: str, numbers: Sequence[tuple[str, int]]) -> str:
    if not numbers:
        return "CAST(NULL AS INTEGER)"
    if len(numbers) == 1:
        return str(numbers[0][1])
    cases = " ".join(f"WHEN {sql} = {least} THEN {path}" for sql, path in numbers)
    return f"CASE {cases} END"
