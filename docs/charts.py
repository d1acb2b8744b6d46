"""The charts of the use cases: bars, columns, pairs of dots and heat maps, as SVG files that come out the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

ACCENT = "#1f5fa8"
#: What the accent is held against.
QUIET = "#c9ced6"
_INK = "#2b2f36"
_WIDTH = 7.6  # inches
_STYLE = {
    # One seed for the ids inside, and text that stays text: the same figures give the same file.
    "svg.hashsalt": "amci",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "text.color": _INK,
    "grid.color": "#e8eaee",
}


@contextmanager
def _drawing(path: Path, height: float) -> Iterator[Axes]:
    """A white sheet, saved to `path` in the end."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, height), layout="constrained", facecolor="white")
        yield figure.add_subplot()
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def bars(
    path: Path,
    labels: Sequence[str],
    values: Sequence[float],
    *,
    axis: str,
    shown: str,
    whole: tuple[Sequence[float], str, str] | None = None,
    reference: tuple[float, str] | None = None,
) -> None:
    """A bar for each label, from the top; `shown` is how a value is written at its end.

    `whole` are values behind, of which these are parts, with the words for whole and part. `reference` is a line to
    hold the bars against, and its name.
    """
    with _drawing(path, 1.0 + 0.34 * len(labels)) as sheet:
        at = range(len(labels))
        ends = list(values)
        if whole:
            behind, of_whole, _ = whole
            sheet.barh(at, behind, color=QUIET, height=0.66, label=of_whole)
            ends = [max(pair) for pair in zip(behind, values, strict=True)]
        sheet.barh(at, values, color=ACCENT, height=0.66, label=whole[2] if whole else None)
        for place, (end, value) in enumerate(zip(ends, values, strict=True)):
            text = shown.format(value) + (f" of {shown.format(end)}" if whole else "")
            sheet.annotate(text, (end, place), xytext=(4, 0), textcoords="offset points", va="center")
        if reference:
            sheet.axvline(reference[0], color=_INK, linewidth=1, linestyle=(0, (4, 3)))
            sheet.annotate(
                reference[1],
                (reference[0], -0.5),
                xytext=(0, 4),
                textcoords="offset points",
                ha="center",
                fontsize=9,
                annotation_clip=False,
            )
        if whole:
            sheet.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False)
        sheet.set_yticks(at, labels)
        sheet.tick_params(axis="y", length=0)
        sheet.grid(axis="x")
        sheet.margins(x=0.14)
        sheet.set_xlim(left=0)
        sheet.set_ylim(len(labels) - 0.5, -0.5)
        sheet.xaxis.set_major_formatter(lambda value, _: shown.format(value))
        sheet.set_xlabel(axis)


def columns(
    path: Path, labels: Sequence[str], values: Sequence[float], *, across: str, axis: str, shown: str
) -> None:
    """A column for each label, from left to right: for labels that have an order."""
    with _drawing(path, 3.4) as sheet:
        at = range(len(labels))
        sheet.bar(at, values, color=ACCENT, width=0.66)
        for place, value in enumerate(values):
            sheet.annotate(
                shown.format(value), (place, value), xytext=(0, 3), textcoords="offset points", ha="center"
            )
        sheet.set_xticks(at, labels)
        sheet.tick_params(axis="x", length=0)
        sheet.grid(axis="y")
        sheet.margins(y=0.12)
        sheet.yaxis.set_major_formatter(lambda value, _: shown.format(value))
        sheet.set_xlabel(across)
        sheet.set_ylabel(axis)


def dots(
    path: Path,
    labels: Sequence[str],
    pairs: Sequence[tuple[float, float]],
    *,
    axis: str,
    names: tuple[str, str],
) -> None:
    """Two dots for each label, joined: what changes from one view of a thing to another."""
    with _drawing(path, 1.3 + 0.34 * len(labels)) as sheet:
        at = range(len(labels))
        before, after = [a for a, _ in pairs], [b for _, b in pairs]
        sheet.hlines(at, before, after, color=QUIET, linewidth=3)
        sheet.scatter(before, at, color="#8a919c", s=44, label=names[0], zorder=3)
        sheet.scatter(after, at, color=ACCENT, s=44, label=names[1], zorder=3)
        sheet.set_yticks(at, labels)
        sheet.tick_params(axis="y", length=0)
        sheet.grid(axis="x")
        sheet.margins(x=0.06)
        sheet.set_xlim(left=0)
        sheet.set_ylim(len(labels) - 0.5, -0.5)
        sheet.xaxis.set_major_formatter("{x:,.0f}")
        sheet.set_xlabel(axis)
        sheet.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False)


def heat(
    path: Path,
    rows: Sequence[str],
    heads: Sequence[str],
    cells: Sequence[Sequence[float | None]],
    *,
    across: str,
    axis: str,
    shown: str,
) -> None:
    """A square for each row and head, the darker the more; None stays white."""
    shades = LinearSegmentedColormap.from_list("accent", ["#eef3f9", ACCENT])
    numbers = [[float("nan") if value is None else value for value in row] for row in cells]
    most = max((value for row in cells for value in row if value is not None), default=1.0)
    with _drawing(path, 1.1 + 0.42 * len(rows)) as sheet:
        drawn = sheet.imshow(numbers, cmap=shades, aspect="auto", vmin=0)
        for y, row in enumerate(cells):
            for x, value in enumerate(row):
                if value is not None:
                    ink = "white" if value > most / 2 else _INK
                    sheet.text(x, y, shown.format(value), ha="center", va="center", color=ink)
        sheet.set_xticks(range(len(heads)), heads)
        sheet.set_yticks(range(len(rows)), rows)
        sheet.tick_params(length=0)
        for spine in sheet.spines.values():
            spine.set_visible(False)
        sheet.set_xlabel(across)
        bar = sheet.figure.colorbar(drawn, ax=sheet, shrink=0.9)
        bar.set_label(axis)
        bar.outline.set_visible(False)
