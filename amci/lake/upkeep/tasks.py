"""The upkeep run: compacting, expiring, publishing, repairing and the like, as a schedule may ask for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from amci.kernel.clock import duration
from amci.kernel.errors import UsageError
from amci.kernel.names import near_or
from amci.kernel.run import Done, Outcome, Run
from amci.kernel.worker import SingleHandler
from amci.lake.datasets.dataset import Dataset

if TYPE_CHECKING:
    from amci.lake.catalog.catalog import Catalog
    from amci.lake.upkeep.maintenance import Maintenance

#: Kind of these runs.
UPKEEP = "upkeep"

#: The tasks, and the options each takes.
TASKS: Mapping[str, frozenset[str]] = {
    "compact": frozenset({"table"}),
    "contents": frozenset(),
    "expire": frozenset({"older_than"}),
    "vacuum": frozenset(),
    "export": frozenset(),
    "reprocess": frozenset({"changed", "dataset"}),
    "repair": frozenset(),
    "rewrite": frozenset({"table"}),
    "maintenance": frozenset(),
}
_KEEP_SNAPSHOTS = "30d"


def check(task: str, options: Mapping[str, Any]) -> None:
    """Raise UsageError if there is no such task, or it takes no such option."""
    if task not in TASKS:
        hint = near_or(task, TASKS, f"there are {', '.join(TASKS)}")
        raise UsageError(f"no upkeep task is called '{task}'", hint=hint)
    if unknown := sorted(set(options) - TASKS[task]):
        known = ", ".join(sorted(TASKS[task])) or "none"
        raise UsageError(f"{task} has no option '{unknown[0]}'", hint=f"its options: {known}")
    if "older_than" in options:
        duration(str(options["older_than"]))


@dataclass(frozen=True, slots=True)
class UpkeepHandler(SingleHandler):
    """Does one task at a time, and none while rows are being loaded."""

    kind = UPKEEP

    catalog: Catalog
    maintenance: Maintenance
    #: queues objects again: (only changed ones, of which dataset) → report
    reprocess: Callable[[bool, str | None], Mapping[str, Any]]
    #: takes damaged files out, and queues their objects → report
    repair: Callable[[], Mapping[str, Any]]
    #: compares raw files with what was loaded, beside everything else
    contents: Callable[[Run], Outcome]
    #: forgets what is old, as `keep:` says → report
    forget: Callable[[], Mapping[str, Any]]
    #: the datasets as they are configured now
    datasets: Callable[[], Iterable[Dataset]]

    def outcome(self, run: Run) -> Outcome:
        """Do what the payload says; a task that was interrupted starts again from its beginning."""
        task, options = run.payload["do"], run.payload.get("with", {})
        check(task, options)
        if task == "contents":
            return self.contents(run)
        with self.catalog.exclusive(task):
            return Done(self._do(task, options))

    def _do(self, task: str, options: Mapping[str, Any]) -> Mapping[str, Any]:
        table, age = options.get("table"), duration(str(options.get("older_than", _KEEP_SNAPSHOTS)))
        changed, dataset = bool(options.get("changed", True)), options.get("dataset")
        do: Mapping[str, Callable[[], Mapping[str, Any]]] = {
            "compact": lambda: self.maintenance.compact(table),
            "expire": lambda: self.maintenance.expire(age, dry_run=False),
            "vacuum": lambda: self.maintenance.vacuum(dry_run=False),
            "export": self.maintenance.publish,
            "reprocess": lambda: self.reprocess(changed, dataset),
            "repair": self.repair,
            "maintenance": self.forget,
            "rewrite": lambda: self.maintenance.rewrite(table, self.datasets(), dry_run=False),
        }
        return do[task]()
