"""The upkeep run: compacting, expiring, vacuuming, publishing and reprocessing, as a schedule may ask for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from amci.kernel.clock import duration
from amci.kernel.errors import UsageError
from amci.kernel.names import suggestion
from amci.kernel.run import Done, Outcome, Run
from amci.kernel.worker import SingleHandler
from amci.lake.catalog.catalog import Catalog
from amci.lake.upkeep.maintenance import Maintenance

#: Kind of these runs.
UPKEEP = "upkeep"

#: What can be done, and what each may be told.
DEEDS: Mapping[str, frozenset[str]] = {
    "compact": frozenset({"table"}),
    "expire": frozenset({"older_than"}),
    "vacuum": frozenset(),
    "export": frozenset(),
    "reprocess": frozenset({"changed", "dataset"}),
}
_KEEP_SNAPSHOTS = "30d"


def check(deed: str, told: Mapping[str, Any]) -> None:
    """Raise UsageError where there is no such deed, or it cannot be told that."""
    if deed not in DEEDS:
        near = suggestion(deed, DEEDS)
        hint = f"did you mean '{near}'?" if near else f"there are {', '.join(DEEDS)}"
        raise UsageError(f"nothing is called '{deed}'", hint=hint)
    if unknown := sorted(set(told) - DEEDS[deed]):
        known = ", ".join(sorted(DEEDS[deed])) or "nothing"
        raise UsageError(f"{deed} cannot be told '{unknown[0]}'", hint=f"it can be told {known}")
    if "older_than" in told:
        duration(str(told["older_than"]))


class UpkeepHandler(SingleHandler):
    """Does one deed at a time, and never while rows are being loaded."""

    kind = UPKEEP

    def __init__(
        self,
        catalog: Catalog,
        maintenance: Maintenance,
        reprocess: Callable[[bool, str | None], Mapping[str, Any]],
    ) -> None:
        """`reprocess` puts objects in line again: (only changed ones, of which dataset) → report."""
        self._catalog = catalog
        self._maintenance = maintenance
        self._reprocess = reprocess

    def outcome(self, run: Run) -> Outcome:
        """Do what the payload says; a deed that was cut short is done again from its beginning."""
        deed, told = run.payload["do"], run.payload.get("with", {})
        check(deed, told)
        with self._catalog.exclusive:
            return Done(self._do(deed, told))

    def _do(self, deed: str, told: Mapping[str, Any]) -> Mapping[str, Any]:
        match deed:
            case "compact":
                return self._maintenance.compact(told.get("table"))
            case "expire":
                age = duration(str(told.get("older_than", _KEEP_SNAPSHOTS)))
                return self._maintenance.expire(age, dry_run=False)
            case "vacuum":
                return self._maintenance.vacuum(dry_run=False)
            case "export":
                return self._maintenance.publish()
            case _:
                return self._reprocess(bool(told.get("changed", True)), told.get("dataset"))
