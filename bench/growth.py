"""What people run often, in a workspace of years beside a new one: nothing may grow with history."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import states
from bench.process import AMCI, Cost, cost

_FILE = "t0003/workflow=w3/schedule=daily/2026-01-{:02}T06:00:00.000Z-w3-new.csv"
_ROWS = "impression_date_utc,campaign,impressions,cost\n" + "2026-01-02,Always on,17,0.25\n" * 200


@dataclass(frozen=True, slots=True)
class Command:
    """Something people do, and how much more it may cost in the large workspace."""

    name: str
    arguments: tuple[str, ...]
    ratio: float | None = None  #: of processor time
    cpu: float | None = None  #: seconds
    more_mib: float | None = None  #: peak of memory, beyond that in the small one
    brings: bool = False  #: whether a new file lies there before


_COMMANDS = (
    Command("status", ("status",), cpu=0.25),
    Command("runs list", ("runs", "list"), ratio=1.3),
    Command("runs list, failed", ("runs", "list", "--status", "failed"), ratio=1.3),
    Command("exec list", ("exec", "list"), ratio=1.3),
    Command("schedule list", ("schedule", "list")),
    Command("tenant list", ("tenant", "list")),
    Command("plan", ("plan",)),
    Command("query", ("query", "SELECT count(*) FROM adtech_amc.t0003_w3_daily"), ratio=1.3),
    Command("lake tables", ("lake", "tables"), ratio=1.3),
    Command("lake show", ("lake", "show", "t0003_w3_daily"), ratio=1.3),
    Command("lake snapshots", ("lake", "snapshots")),
    Command("lake files", ("lake", "files", "--limit", "20")),
    Command("drain, nothing new", ("drain",), cpu=1.0, more_mib=50),
    Command("drain, one file", ("drain",), ratio=1.3, brings=True),
    Command("drain --full", ("drain", "--full")),
    Command("doctor", ("doctor",)),
)


def growth(folder: Path, large: states.Scale, *, repeat: int) -> Iterator[dict[str, Any]]:
    """Each command in turn in the small and the large workspace, which are made and removed again."""
    homes = [
        states.build(folder / name, folder / "one", scale)
        for name, scale in (("small", states.SMALL), ("large", large))
    ]
    try:
        # What is done once after a long time, as the first look of a day.
        for home in homes:
            for _ in range(2):
                cost([*AMCI, "drain"], home)
        for command in _COMMANDS:
            yield _compared(command, homes, repeat)
    finally:
        for home in homes:
            shutil.rmtree(home)


def state_size(folder: Path) -> list[dict[str, Any]]:
    """Bytes of the state file for each execution with its file, before and after upkeep, and when it is forgotten."""
    home = states.build(folder / "executed", folder / "one", states.EXECUTED)
    sizes = []
    for keep in ("", "", "keep: {runs: 30d, executions: 30d, fires: 30d, versions: 30d}\n"):
        if sizes:
            settings = home / "amci.yaml"
            settings.write_text(settings.read_text() + keep)
            cost([*AMCI, "maintenance"], home)
        else:
            cost([*AMCI, "status"], home)
        sizes.append((home / "state/amci.db").stat().st_size / states.EXECUTED.executions)
    shutil.rmtree(home)
    names = ("bytes_each", "after_upkeep", "after_upkeep_with_keep")
    return [
        {
            "bench": "state of an execution",
            **dict(zip(names, sizes, strict=True)),
            "target_after_upkeep": 1500,
        }
    ]


def _compared(command: Command, homes: list[Path], repeat: int) -> dict[str, Any]:
    taken: list[tuple[Cost, Cost]] = []
    for number in range(repeat):
        small, large = (_cost(command, home, number) for home in homes)
        taken.append((small, large))
    small, large = (min(costs, key=lambda each: each.cpu) for costs in zip(*taken, strict=True))
    report: dict[str, Any] = {
        "bench": f"growth: {command.name}",
        "small_cpu_s": small.cpu,
        "large_cpu_s": large.cpu,
        "ratio": large.cpu / small.cpu,
        "small_mib": small.memory / 2**20,
        "large_mib": large.memory / 2**20,
    }
    targets = {"ratio": command.ratio, "cpu_s": command.cpu, "more_mib": command.more_mib}
    return report | {f"target_{name}": value for name, value in targets.items() if value is not None}


def _cost(command: Command, home: Path, number: int) -> Cost:
    if command.brings:
        path = home / "raw" / _FILE.format(number + 1)
        path.with_suffix(".part").write_text(_ROWS)
        path.with_suffix(".part").rename(path)
    return cost([*AMCI, *command.arguments], home, {"AMCI_SETTLE": "0s"})
