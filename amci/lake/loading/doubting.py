"""What becomes of a file that is doubtful: it is told, or refused as its dataset says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from amci.kernel.errors import MalformedFile
from amci.lake.formats import Doubt
from amci.lake.landing.doubts import DoubtStore
from amci.lake.loading.rules import RoutedObject
from amci.lake.loading.staged_object import is_retyping


def note(store: DoubtStore, stage: str, found: Sequence[tuple[RoutedObject, Sequence[Doubt]]]) -> None:
    """Note what a stage finds doubtful about objects. Raises MalformedFile if a dataset takes nothing that is.

    What is loaded again because another file makes a column text may find that column, or one of its own, text already.
    """
    for adds in (False, True):
        new = {
            (routed.object_id, routed.obj.version): doubts
            for routed, doubts in found
            if (doubts or routed.is_doubted) and is_retyping(routed.again) is adds
        }
        if new:
            store.put(stage, new, adds=adds)
    for routed, doubts in found:
        if doubts and routed.obj.dataset.doubt == "refuse":
            _refuse(store, routed, doubts)


def _refuse(store: DoubtStore, routed: RoutedObject, doubts: Sequence[Doubt]) -> None:
    """Raise MalformedFile unless each of the doubts is a slight one, or was accepted."""
    grave = [doubt for doubt in doubts if doubt.is_refused]
    if grave and not store.are_accepted((routed.object_id, routed.obj.version), grave):
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
