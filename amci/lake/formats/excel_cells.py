"""What the cells of a workbook show: their number formats, dates, codes and texts."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import Any

#: A cell as the library's parser gives it: its row and column from 1, its value, data_type and style_id.
Cell = dict[str, Any]

#: What a number format has besides its letters: texts, escapes, and colours or languages.
_NO_LETTERS = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?![hms]+\])[^\]]*\]', re.IGNORECASE)
_INTEGERS = 10**15  #: doubles below are exact if they are whole
#: The number format of a code such as 01234 or 012-34: two zeros or more, and what else stands in it.
_LITERAL = r'(?:[- ]|"[^"]*"|\\.)'
_CODE = re.compile(rf"(?:\[\$-[^\]]*\])?({_LITERAL}*00(?:0|{_LITERAL})*)(?:;.*)?", re.DOTALL)
_PARTS = re.compile(r'"[^"]*"|\\.|.', re.DOTALL)
#: Number formats that a workbook may use by number alone, and the library does not know: those of East Asia and of
#: Thailand. What they show depends on the language of the program; all of them are dates or times.
_REGIONAL = (
    dict.fromkeys((*range(27, 37), *range(50, 59), 71, 72, 73, 74), "yyyy-mm-dd")
    | dict.fromkeys((32, 33, 75, 76, 78, 80), "h:mm:ss")
    | {77: "yyyy-mm-dd h:mm", 79: "[h]:mm:ss"}
)
_CUSTOM = 164  #: from it on, a number is that of a format in the workbook
#: A number format up to the `;` that ends its part for some numbers, and how it says for which ones.
_SECTION = re.compile(r'((?:"[^"]*"?|\\.|[^;"\\])*)(?:;|$)', re.DOTALL)
_DATE_LETTER = re.compile(r"[dmhys]")
_ELAPSED = re.compile(r"\[(?:h+|m+|s+)\]")
_CONDITION = re.compile(r"\[[<>=]")


@dataclass(frozen=True, slots=True)
class Style:
    """What a number format shows."""

    is_date: bool  #: or a time
    is_elapsed: bool  #: whether its hours may be more than a day has
    shows_date: bool  #: whether it has a day, a month or a year
    shows_time: bool  #: whether it has a time of day
    code: tuple[str | None, ...]  #: the parts of a code, None for each digit; empty if it does not show one

    @classmethod
    def of(cls, number_format: str) -> Style:
        """The style with this number format."""
        letters = _dated(number_format)
        shows_time = "h" in letters or "s" in letters
        code = _CODE.fullmatch(number_format)
        parts = _PARTS.finditer(code[1]) if code else ()
        return cls(
            is_date=_DATE_LETTER.search(letters) is not None,
            is_elapsed=_ELAPSED.search(letters) is not None,
            shows_date="d" in letters or "y" in letters or ("m" in letters and not shows_time),
            shows_time=shows_time,
            code=tuple(None if part[0] == "0" else part[0].strip('"').removeprefix("\\") for part in parts),
        )


def is_blank(cell: Cell) -> bool:
    """Whether nothing of it can be seen."""
    return isinstance(cell["value"], str) and not cell["value"].strip()


def shown(digits: str, code: tuple[str | None, ...]) -> str:
    """A whole number as a code: filled up with zeros; digits that are too many stand before the others."""
    size = code.count(None)
    filled = digits.zfill(size)
    more = len(filled) - size
    given = iter((filled[: more + 1], *filled[more + 1 :]))
    return "".join(next(given) if part is None else part for part in code)


def written(value: Any) -> str:
    """A number, date, time, duration or boolean as text; numbers in the fewest digits that read back equal."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        is_whole = value.is_integer() and abs(value) < _INTEGERS
        return str(int(value)) if is_whole else repr(value)
    if isinstance(value, dt.timedelta):
        return _hours(value)
    return value.isoformat() if isinstance(value, (dt.date, dt.time)) else str(value)


def _hours(value: dt.timedelta) -> str:
    """Hours, minutes and seconds, as the format `[h]:mm:ss` shows them."""
    seconds, part = divmod(abs(value) // dt.timedelta(microseconds=1), 1_000_000)
    sign, fraction = "-" if value < dt.timedelta() else "", f".{part:06}" if part else ""
    return f"{sign}{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}{fraction}"


def column_letters(at: int) -> str:
    """The name that Excel gives a column, from 0: A to Z, AA and so on."""
    name = ""
    while at >= 0:
        at, digit = divmod(at, 26)
        name, at = chr(ord("A") + digit) + name, at - 1
    return name


def number_format(book: Any, style: Any) -> str:
    """The number format of a style of a workbook."""
    from openpyxl.styles.numbers import BUILTIN_FORMATS

    number = style.numFmtId
    if number >= _CUSTOM:
        return str(book._number_formats[number - _CUSTOM])  # noqa: SLF001
    return str(BUILTIN_FORMATS.get(number) or _REGIONAL.get(number, "General"))


def mark_dates(book: Any) -> None:
    """Tell the library which styles are dates; it knows few of the formats, and looks at the first section of each."""
    formats = [number_format(book, style) for style in book._cell_styles]  # noqa: SLF001
    styles = {each: Style.of(each) for each in set(formats)}
    book._date_formats = {n for n, each in enumerate(formats) if styles[each].is_date}  # noqa: SLF001
    book._timedelta_formats = {n for n, each in enumerate(formats) if styles[each].is_elapsed}  # noqa: SLF001


def _dated(number_format: str) -> str:
    """What dates are shown by, without texts and the like: the first section, unless that is for some numbers only."""
    sections = _SECTION.findall(number_format)
    bare = [_NO_LETTERS.sub("", each).lower() for each in sections]
    found = bare if _CONDITION.search(sections[0]) else bare[:1]
    return next((each for each in found if _DATE_LETTER.search(each)), bare[0])
