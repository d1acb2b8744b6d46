"""Numbers and dates as people write them, in a dataset that does not say how: what to set, and what may be misread.

The light run looks at the first rows of a file of text; of columns that look odd, the heavy run asks all rows. For
`Kosten` with `12,50` and `1.003,20`, and `Impressionen` with `1.234`:

    text    → column kosten is text; its values may be numbers: set `decimal: ","` and `thousands: "."`
    numbers → column impressionen has points that may stand between thousands: column kosten has commas before fractions
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from amci.kernel.names import literal, quoted
from amci.lake.catalog.casts import fits_sql
from amci.lake.catalog.kinds import ColumnKind, Kind
from amci.lake.datasets.dataset import Dataset
from amci.lake.datasets.spelling import DateFormat, Spelling
from amci.lake.formats import Doubt
from amci.lake.formats.joined_csv import JoinedRows

#: Rows that are looked at, fewer if there are very many columns, and columns that are asked about.
_ROWS, _AT_ONCE, _CELLS, _COLUMNS = 200, 3, 20_000, 20
#: Columns of text, and their rows, whose smallest and largest values are looked at.
_ASKED, _MANY = 64, 100_000
#: Columns named in a sentence.
_NAMED = 5
#: Settings of `csv:`, and what values look like without them.
_AROUND = {
    "formulas: text": 'values are written as formulas of a spreadsheet, such as ="…"',
    "blanks: strip": "values have blanks around them, so that they are no numbers or dates",
}
#: Currencies as people write them beside an amount; other letters make a code, such as `SKU12`.
# fmt: off
_CURRENCIES = frozenset({
    "$", "€", "£", "¥", "￥", "₩", "₹", "₺", "₽", "₪", "₫", "฿", "₴", "₦", "₱", "¢", "kr", "kr.", "zł", "Kč", "Ft",
    "lei", "лв", "R$", "A$", "C$", "US$", "NZ$", "HK$", "S$", "NT$", "MX$", "Fr", "Fr.", "SFr", "Rp", "RM",
    "AED", "AUD", "BRL", "CAD", "CHF", "CNY", "CZK", "DKK", "EGP", "EUR", "GBP", "HKD", "HUF", "IDR", "ILS", "INR",
    "JPY", "KRW", "MXN", "MYR", "NOK", "NZD", "PHP", "PLN", "RON", "RUB", "SAR", "SEK", "SGD", "THB", "TRY", "TWD",
    "USD", "VND", "ZAR",
})
# fmt: on
_SIGN = f"(?:{'|'.join(map(re.escape, sorted(_CURRENCIES, key=len, reverse=True)))})?"
_NUMBER = rf"[-+−(]?{_SIGN}\s?[-+−]?\d[\d.,'’ \u00a0\u202f]*\s?%?-?\s?{_SIGN}[)-]?"
_MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6}"
_WEEKDAY = "(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]{0,6}, )?"
_DATE = (
    r"(?:\d{1,4}[./-]\d{1,2}[./-]\d{1,4}|\d{4}年\d\d?月\d\d?日"
    rf"|{_WEEKDAY}(?:\d\d?[ ./-](?i:{_MONTH})[ ./-]\d{{2,4}}|{_MONTH} \d\d?,? \d{{4}}))(?:,? .*)?"
)
_ISO_DATE = r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d(?::?\d\d)?)?)?"
#: As JSON and ISO 8601 write them.
_USUAL = rf"-?\d+(?:[.]\d+)?|{_ISO_DATE}"
_PLAIN = re.compile(_USUAL)
_ODD = re.compile(rf"(?!(?:{_USUAL})\Z)(?:{_NUMBER}|{_DATE})")
_BEGIN = re.compile(rf"{_NUMBER}|{_DATE}")
_POINTED_DATE = re.compile(r"\d{1,2}[.]\d{1,2}[.]\d")
_ISO = re.compile(_ISO_DATE)
#: Words that mean no value, in lower case.
_NO_VALUE = frozenset(
    {
        "-",
        "--",
        "---",
        "–",
        "—",
        "?",
        "n/a",
        "na",
        "#n/a",
        "nan",
        "null",
        "none",
        "nil",
        "(null)",
        "(none)",
        "(blank)",
        "#div/0!",
    }
)
_POINTED = re.compile(r"-?[1-9]\d{0,2}[.]\d{3}")
#: For Arrow: no value, or a number that is not odd.
_AS_USUAL = "^(?:|-?[0-9]+(?:[.][0-9]+)?)$"
#: Pairs of `decimal` and `thousands`, likeliest first.
_SEPARATORS = ((".", ""), (",", ""), (",", "."), (".", ","), (",", " "), (".", " "), (".", "'"), (".", "’"))
_NAMED_DAYS = (
    *("%d-%b-%y", "%d-%b-%Y", "%d %b %Y", "%d %b %y", "%d/%b/%Y", "%d.%b.%Y", "%d %B %Y", "%d-%B-%Y"),
    *("%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%B %d %Y", "%A, %B %d, %Y", "%a, %d %b %Y"),
)
_DAYS = (
    *(
        "%d.%m.%Y",
        "%d/%m/%Y",
        "%m/%d/%Y",
        "%d-%m-%Y",
        "%m-%d-%Y",
        "%Y/%m/%d",
        "%Y.%m.%d",
        "%Y-%m-%d",
        "%Y年%m月%d日",
    ),
    *("%d.%m.%y", "%m/%d/%y", "%d/%m/%y"),
)
_TIMES = (
    *(
        "",
        " %H:%M",
        " %H:%M:%S",
        " %I:%M %p",
        " %I:%M:%S %p",
        " %H:%M:%S %Z",
        " %H:%M:%S %z",
        " %I:%M:%S %p %Z",
    ),
    *(", %H:%M:%S", ", %I:%M %p", ", %I:%M:%S %p"),
)
#: The first values that formats of dates have to fit before all are asked.
_SAMPLE = 20
#: The first values that all ways have to fit.
_CODES = 2_000
_THOUSANDS = "-?(?:[1-9][0-9]{0,2}(?:[.][0-9]{3})+|0|[1-9][0-9]*)"


@dataclass(frozen=True, slots=True)
class _Odd:
    """Columns of one part that look odd."""

    odd: frozenset[str] = frozenset()
    pointed: frozenset[str] = frozenset()  #: numbers whose points may stand between thousands
    has_dates: bool = False  #: whether there are dates with points, as where points stand between thousands
    #: what `csv:` has to say for a column to be what it means, and its name
    settings: tuple[tuple[str, str], ...] = ()


class OddColumns:
    """Looks at the first rows of each part of a file for columns that may be numbers or dates as people write them."""

    def __init__(self) -> None:
        self._seen: dict[str, _Odd] = {}

    def see(self, part: str, data: pa.RecordBatch) -> None:
        """Look at further rows of a part."""
        if part not in self._seen and data.num_rows:
            self._seen[part] = _look(data)

    def note(self, part: str, pointed: Sequence[str]) -> None:
        """Note of a part that nothing in it is odd but points in these columns of numbers."""
        self._seen[part] = _Odd(pointed=frozenset(pointed[:_COLUMNS]))

    def of(self, part: str) -> frozenset[str]:
        """The columns of a part that look odd."""
        return self._seen.get(part, _Odd()).odd

    def pointed(self, part: str, *, has_semicolons: bool) -> frozenset[str]:
        """Those with numbers such as `1.000`, if dates have points in them, too, or semicolons are between values."""
        seen = self._seen.get(part, _Odd())
        return seen.pointed if seen.has_dates or has_semicolons else frozenset()

    def marked(self) -> Iterator[Doubt]:
        """The doubts about columns of CSV whose values have signs or blanks around them."""
        if not any(seen.settings for seen in self._seen.values()):
            return
        for setting, says in _AROUND.items():
            columns = sorted(
                {name for seen in self._seen.values() for has, name in seen.settings if has == setting}
            )
            if columns:
                yield Doubt(
                    kind="text",
                    says=f"{says}, in {', '.join(columns[:_NAMED])}",
                    hint=f"set `csv: {{{setting}}}` in the dataset, and they are what is inside",
                )


def _csv_setting(value: str) -> str:
    """What `csv:` has to say so that such values are what is inside of them; empty if nothing."""
    if value.startswith('="'):
        return "formulas: text"
    bare = value.strip()
    return "blanks: strip" if bare != value and _PLAIN.fullmatch(bare) else ""


def _looked_at(data: pa.RecordBatch) -> int:
    """How many rows are looked at."""
    columns: int = data.num_columns
    return max(_AT_ONCE, min(_ROWS, _CELLS // max(1, columns)))


def _look(data: pa.RecordBatch) -> _Odd:
    odd: list[str] = []
    settings: list[tuple[str, str]] = []
    pointed: list[str] = []
    has_dates = False
    rows = _looked_at(data)
    for name, column in zip(data.schema.names, data.columns, strict=True):
        first = _first(column)
        if first and (setting := _csv_setting(first)):
            settings.append((setting, name))
            continue
        if first and (not _BEGIN.match(first) or _ISO.fullmatch(first)):
            continue  # text, or a date as it should be
        if not (first and _ODD.fullmatch(first)):
            part = column.slice(0, rows)
            if pa.types.is_string(part.type) and _are_digits(part):
                continue
            values = [value for value in part.to_pylist() if value]
            first = next(filter(_ODD.fullmatch, values), None)
            if not first:
                pointed += [name] if any(map(_POINTED.fullmatch, values)) else []
                continue
        odd.append(name)
        has_dates = has_dates or bool(_POINTED_DATE.match(first))
    return _Odd(frozenset(odd[:_COLUMNS]), frozenset(pointed[:_COLUMNS]), has_dates, tuple(settings))


def odd_columns(rows: JoinedRows) -> dict[int, OddColumns]:
    """What `OddColumns` sees in each of some small files."""
    starts = np.array([start for _, start, _ in rows.members], np.int64)
    asked: set[int] = set()  #: members whose columns have to be looked at one by one
    pointed: dict[int, list[str]] = {}
    for name, column in zip(rows.data.schema.names, rows.data.columns, strict=True):
        if _are_digits(column):
            continue
        firsts = column.take(pa.array(starts)).to_pylist()
        kinds = {first: _may_be_odd(first) for first in dict.fromkeys(firsts)}
        asked.update(at for at, first in enumerate(firsts) if kinds[first])
        plain = {at for at, first in enumerate(firsts) if kinds[first] is None}
        if plain:
            asked |= plain & _members_at(starts, pc.invert(pc.match_substring_regex(column, _AS_USUAL)))
            points = pc.match_substring_regex(column, f"^{_POINTED.pattern}$")
            for at in plain & _members_at(starts, points, _looked_at(rows.data)):
                pointed.setdefault(at, []).append(name)
    columns = {}
    for at, (file, start, count) in enumerate(rows.members):
        columns[file] = OddColumns()
        if at in asked:
            columns[file].see("", rows.data.slice(start, count))
        elif at in pointed:
            columns[file].note("", pointed[at])
    return columns


def _members_at(starts: np.ndarray, are: pa.BooleanArray, most: int | None = None) -> set[int]:
    """The files in whose rows, or whose first ones, this is true; `starts` are their first rows."""
    rows = np.asarray(pc.indices_nonzero(are)).astype(np.int64)
    members = np.searchsorted(starts, rows, side="right") - 1
    if most is not None:
        members = members[rows - starts[members] < most]
    return set(members.tolist())


def _may_be_odd(first: str | None) -> bool | None:
    """Whether a column of which this is the first value may look odd; None if that depends on the other values."""
    if not first or first.lower() in _NO_VALUE or _csv_setting(first):
        return True
    if not _BEGIN.match(first) or _ISO.fullmatch(first):
        return False
    return True if _ODD.fullmatch(first) else None


def _are_digits(column: pa.Array) -> bool:
    """Whether all texts of a column are digits or empty."""
    _, ends, text = column.buffers()
    if text is None:
        return True
    ends = memoryview(ends).cast("i")
    begin, end = ends[column.offset], ends[column.offset + len(column)]
    return begin == end or bytes(memoryview(text)[begin:end]).isdigit()


def _first(column: pa.Array) -> str | None:
    """The first value of a column in the first rows; if they have none, in the first ones with a value."""
    for rows in (column, column.drop_null() if column.null_count >= min(_AT_ONCE, len(column)) else ()):
        for i in range(min(_AT_ONCE, len(rows))):
            if (value := rows[i].as_py()) and value.lower() not in _NO_VALUE:
                return str(value)
    return None


def likely(con: duckdb.DuckDBPyConnection, rows: str, columns: Sequence[str]) -> list[str]:
    """Columns of text whose smallest and largest values look like numbers or dates, words that mean no value apart."""
    columns = columns[:_ASKED]
    if not columns:
        return []
    words = ", ".join(map(literal, ["", *sorted(_NO_VALUE)]))
    names = [quoted(column) for column in columns]
    values = ", ".join(
        f"CASE WHEN lower({name}) NOT IN ({words}) THEN {name} END AS {name}" for name in names
    )
    ends = ", ".join(f"min({name}), max({name})" for name in names)
    found = con.execute(f"SELECT {ends} FROM (SELECT {values} FROM {rows} LIMIT {_MANY})").fetchall()[0]
    return [
        column
        for column, *both in zip(columns, found[::2], found[1::2], strict=True)
        if all(value and _BEGIN.fullmatch(value) and not _ISO.fullmatch(value) for value in both)
    ]


def spelling_doubts(
    con: duckdb.DuckDBPyConnection,
    rows: str,
    odd: Sequence[str],
    pointed: Sequence[str],
    kinds: Mapping[str, ColumnKind],
    dataset: Dataset,
    strings: Collection[str] = (),
) -> Iterator[Doubt]:
    """What the spelling of an object's `rows` leaves doubtful.

    That is columns that are text because of it, among the columns of text `odd`, and numbers that may mean others: any,
    if another column has commas before fractions, else those of `pointed`. Columns of `strings`, such as those of JSON,
    are no numbers unless the dataset declares them so.
    """
    definition = f"in the definition of {dataset.dataset}, then `amci lake reprocess --changed`"
    has = dataset.spelling
    with_commas = []
    for column in odd:
        empty, ways = _ways(con, rows, column)
        numbers = [way for way in ways if isinstance(way, Spelling)]
        if dataset.says_points:
            numbers = [way for way in numbers if _agree(way, has)]
        elif numbers and column not in strings and all(way.decimal == "," for way in numbers):
            with_commas.append(column)
        named = [_named(way, has) for way in numbers] or [
            _listed("dates", [*(one.text for one in has.dates), way.text])
            for way in ways
            if isinstance(way, DateFormat)
        ]
        settings = "" if "" in named else " or ".join(dict.fromkeys(named))
        more = [f"`types: {{{column}: DOUBLE}}`"] if numbers and column in strings else []
        if ways and (nulls := [word for word in empty if word not in has.nulls]):
            more.append(_listed("nulls", [*has.nulls, *nulls]))
        settings = ", with ".join(filter(None, (settings, " and ".join(more))))
        if settings:
            yield Doubt(
                kind="text",
                says=f"column {column} is text; its values may be {'numbers' if numbers else 'dates'}",
                hint=f"set {settings} {definition}",
                column=column,
            )
    if dataset.says_points:
        return
    all_numbers = [column for column, kind in kinds.items() if kind in (Kind.BIGINT, Kind.DOUBLE)]
    why, hint = (
        "its file has semicolons between values, or dates with points",
        ('; if fractions follow the points, set `decimal: "."`, or `types:` for the column'),
    )
    if with_commas:
        pointed, why, hint = all_numbers, f"column {with_commas[0]} has commas before fractions", ""
    for column in _with_points(con, rows, pointed):
        yield Doubt(
            kind="numbers",
            says=f"column {column} has points that may stand between thousands: {why}",
            hint=f'set `decimal: ","` and `thousands: "."` {definition}{hint}',
            column=column,
        )


def _listed(setting: str, values: Sequence[str]) -> str:
    """A setting with all of its values: those that the dataset has, and a new one."""
    return f"`{setting}: {json.dumps(values, ensure_ascii=False)}`"


def _words_for_none(con: duckdb.DuckDBPyConnection, rows: str, column: str) -> list[str]:
    """The words in a column that mean no value."""
    name, words = quoted(column), ", ".join(map(literal, sorted(_NO_VALUE)))
    found = con.execute(
        f"SELECT DISTINCT {name} AS word FROM {rows} WHERE lower({name}) IN ({words}) ORDER BY word"
    )
    return [word for (word,) in found.fetchmany(_NAMED)]


def _ways(
    con: duckdb.DuckDBPyConnection, rows: str, column: str
) -> tuple[list[str], list[Spelling] | list[DateFormat]]:
    """The words for no value, and the spellings, or formats, in which every other one is a number, or a date.

    Most columns that look odd are codes, such as `00501`: of what the first values cannot be, no more are asked.
    """
    first = f"(SELECT * FROM {rows} WHERE {quoted(column)} <> '' LIMIT {_CODES})"
    for looked_at in (first, rows):
        empty = _words_for_none(con, looked_at, column)
        ways = _ways_of(con, looked_at, column, empty)
        if not ways:
            break
    return empty, [] if any(isinstance(way, Spelling) and way.is_plain for way in ways) else ways


def _ways_of(
    con: duckdb.DuckDBPyConnection, rows: str, column: str, empty: Sequence[str]
) -> list[Spelling] | list[DateFormat]:
    """The same for words in `empty`; the plain spelling alone if that is one of them."""
    name = quoted(column)
    filled = f"{rows} WHERE {name} NOT IN ({', '.join(map(literal, ['', *empty]))})"
    words = con.execute(
        f"SELECT DISTINCT trim(regexp_replace({name}, '[-+−0-9.,''’()% \\x{{00a0}}\\x{{202f}}]', '', 'g')) AS word"
        f" FROM {filled} LIMIT 3"
    ).fetchall()
    signs = {word for (word,) in words if word}
    # Digits behind a plus that are as many as a phone number has are one.
    percent, brackets, trailing, has_signs = con.execute(
        f"SELECT bool_or(contains({name}, '%')), bool_or(contains({name}, '(')),"
        f" bool_or(regexp_matches({name}, '[0-9][^0-9]*-[^0-9]*$')),"
        f" bool_or(regexp_matches({name}, '^[^0-9]*[+−]'))"
        f" AND NOT bool_and(regexp_full_match({name}, '[+][0-9]{{8,15}}')) FROM {filled}"
    ).fetchall()[0]
    sign = next(iter(signs), "")
    if signs <= _CURRENCIES and len(signs) <= 1:  # no amounts of two currencies
        tried = [
            Spelling(
                decimal=d,
                thousands=t,
                currency=sign,
                percent=bool(percent),
                parentheses=bool(brackets),
                trailing=bool(trailing) and not brackets,
                signs=bool(has_signs),
            )
            for d, t in _SEPARATORS
        ]
        fits = _fit(con, filled, [fits_sql(Kind.DOUBLE, name, how) for how in tried])
        spellings = [how for how, fit in zip(tried, fits, strict=True) if fit]
        if certain := [how for how in spellings if how.is_plain]:
            return certain
        # What needs no thousands needs none.
        if plain := [how for how in spellings if not how.thousands]:
            if len(plain) > 1:  # they have no fractions
                return plain[:1]
            decimals = {how.decimal for how in plain}
            return plain + [how for how in spellings if how.decimal not in decimals]
        if spellings:
            return spellings
    days = _NAMED_DAYS if any(re.search(f"(?i){_MONTH}", word) for word in signs) else _DAYS
    first = con.execute(f"SELECT {name} FROM {filled} LIMIT {_SAMPLE}").fetchall()
    formats = [
        one
        for one in (DateFormat(day + time) for day, time in product(days, _TIMES))
        if all(re.fullmatch(one.pattern, value) for (value,) in first)
    ]
    if not formats:
        return []
    fits = _fit(con, filled, [f"{one.read_sql(name, one.type)} IS NOT NULL" for one in formats])
    return [one for one, fit in zip(formats, fits, strict=True) if fit]


def _fit(con: duckdb.DuckDBPyConnection, rows: str, tests: Sequence[str]) -> tuple[bool | None, ...]:
    """Which of these tests all rows pass."""
    asked = ", ".join(f"bool_and({test})" for test in tests)
    return con.execute(f"SELECT {asked} FROM {rows}").fetchall()[0]


def _with_points(con: duckdb.DuckDBPyConnection, rows: str, columns: Sequence[str]) -> list[str]:
    """Those columns of numbers whose points may all stand between thousands."""
    if not columns:
        return []
    tests = [
        f"bool_and(coalesce({name}, '') = '' OR regexp_full_match({name}, {literal(_THOUSANDS)}))"
        f" AND bool_or(contains({name}, '.'))"
        for name in map(quoted, columns)
    ]
    found = con.execute(f"SELECT {', '.join(tests)} FROM {rows}").fetchall()[0]
    return [column for column, fits in zip(columns, found, strict=True) if fits]


def _agree(way: Spelling, has: Spelling) -> bool:
    """Whether a spelling adds to what a dataset says of points and commas, and does not contradict it."""
    return way.decimal == has.decimal and (not way.thousands or has.thousands in ("", way.thousands))


def _named(way: Spelling, has: Spelling) -> str:
    """The settings of a spelling, as they are written, but for what the dataset has already."""
    settings = {
        "decimal": '","' if way.decimal == "," != has.decimal else "",
        "thousands": f'"{way.thousands}"' if way.thousands not in ("", has.thousands) else "",
        "currency": f'"{way.currency}"' if way.currency not in ("", has.currency) else "",
        "percent": "fraction" if way.percent and not has.percent else "",
        "signs": "any" if way.signs and not has.signs else "",
        "negative": _negative(way) if _negative(way) != _negative(has) else "",
    }
    return " and ".join(f"`{name}: {value}`" for name, value in settings.items() if value)


def _negative(way: Spelling) -> str:
    return "parentheses" if way.parentheses else "trailing" if way.trailing else ""
