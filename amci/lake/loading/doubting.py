"""What becomes of a file that is doubtful: it is told, or refused as its dataset says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from amci.kernel.errors import MalformedFile
from amci.lake.formats import Doubt
from amci.lake.landing.doubts import DoubtStore
from amci.lake.loading.rules import RoutedObject
from amci.lake.loading.staged_object import is_retyping


def note(store: DoubtStore, stage: str, routed: RoutedObject, doubts: Sequence[Doubt]) -> None:
    """Note what a stage finds doubtful about an object. Raises MalformedFile if its dataset takes nothing that is.

    What is loaded again because another file makes a column text may find that column, or one of its own, text already.
    """
    version = (routed.object_id, routed.obj.version)
    if doubts or routed.is_doubted:
        store.put(stage, {version: doubts}, adds=is_retyping(routed.again))
    grave = [doubt for doubt in doubts if doubt.is_refused]
    if grave and routed.obj.dataset.doubt == "refuse" and not store.are_accepted(version, grave):
        first = grave[0]
        raise MalformedFile(
            first.says,
            line=first.line,
            hint=f"{first.hint}; if it is right, `amci lake doubts --accept {routed.obj.key}`".lstrip("; "),
        )


def told(doubts: Iterable[Doubt]) -> dict[str, list[str]]:
    """What a run's result says of doubts."""
    says = [doubt.says for doubt in doubts]
    return {"doubts": says} if says else {}
