"""How people write values in the files of a dataset, as SQL; nothing configured is as JSON and ISO 8601 write them.

`-1.234,50 €` and `(12,5 %)` become `-1234.50` and `-0.125` with `decimal: ","`, `thousands: "."`, `currency: €`,
`percent: fraction` and `negative: parentheses`, and only where a column becomes numbers: text stays as it landed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from amci.kernel.names import literal

_PLAIN_NUMBER = "-?(?:0|[1-9][0-9]*)(?:[.][0-9]+)?(?:[eE][-+]?[0-9]+)?"
_MINUS = "\N{MINUS SIGN}"
_NOT_FINITE = "(?i)nan|-?inf(?:inity)?"
#: A column, quoted or not.
_NAME = re.compile(r'\w+|"(?:[^"]|"")*"')
_BLANK = "[ \\x{00a0}\\x{202f}]"
_NAMED = "[A-Za-z]+"
_TWO = "[0-9]{1,2}"
#: What strptime's directives stand for. Its own reading is too kind: `infinity` is 1900-01-01 to it, and 26 a year.
_DIRECTIVES = {
    **dict.fromkeys(("d", "-d", "m", "-m", "H", "-H", "I", "-I", "M", "-M", "S", "-S"), _TWO),
    **dict.fromkeys(("b", "B", "a", "A"), _NAMED),
    "Y": "[1-9][0-9]{3}",
    **dict.fromkeys(("y", "-y"), "[0-9]{2}"),
    "j": "[0-9]{3}",
    "f": "[0-9]{1,6}",
    "p": "(?i:[AP]M)",
    "z": "[-+][0-9]{2}(?::?[0-9]{2})?",
    "Z": "UTC|GMT",
    "%": "%",
}
#: Digits of the directives that have nothing else, beside others of them.
_WIDTHS = {"Y": 4, "j": 3, "f": 1, **dict.fromkeys(("y", "-y"), 2)}
_WIDTHS |= dict.fromkeys((name for name, pattern in _DIRECTIVES.items() if pattern == _TWO), 2)
#: Digits are dates before they are numbers if a format has so many of them: `%Y%m%d`.
_MANY_DIGITS = 8
_DIRECTIVE = re.compile(r"%(-?.|$)", re.DOTALL)
_YEARS, _MONTHS, _DAYS = {"Y", "y", "-y"}, {"m", "-m", "b", "B"}, {"d", "-d"}
_TIMES, _ZONES, _WEEKDAYS = {"H", "-H", "I", "-I", "M", "-M", "S", "-S", "f", "p"}, {"z", "Z"}, {"a", "A"}


@dataclass(frozen=True, slots=True)
class DateFormat:
    """A format of strptime, such as `%d.%m.%Y`. Raises ValueError if it does not name a whole day."""

    text: str

    def __post_init__(self) -> None:
        used = self._directives
        if unknown := sorted(used - _DIRECTIVES.keys()):
            raise ValueError(
                f"'{self.text}': %{unknown[0]} is not one of strptime's directives that amci reads"
            )
        missing = [
            name
            for name, ways in (("year", _YEARS), ("month", _MONTHS | {"j"}), ("day", _DAYS | {"j"}))
            if not used & ways
        ]
        if missing:
            raise ValueError(f"'{self.text}' names no {missing[0]}")
        if used & {"I", "-I"} and "p" not in used:
            raise ValueError(f"'{self.text}' has hours of half a day, but no %p")

    @property
    def _directives(self) -> set[str]:
        return set(_DIRECTIVE.findall(self.text))

    @property
    def type(self) -> str:
        """The SQL type of its values: a day, a local time or a moment."""
        used = self._directives
        return "TIMESTAMP WITH TIME ZONE" if used & _ZONES else "TIMESTAMP" if used & _TIMES else "DATE"

    @property
    def digits(self) -> int:
        """How many digits its values have at least, if they have nothing else; 0 if they have."""
        parts = _DIRECTIVE.split(self.text)
        between = "".join(parts[::2])
        if (
            between and not (between.isascii() and between.isdigit())
        ) or not self._directives <= _WIDTHS.keys():
            return 0
        return len(between) + sum(_WIDTHS[part] for part in parts[1::2])

    @property
    def pattern(self) -> str:
        """The regular expression, of RE2 and of Python, of texts that may be of this format."""
        parts = _DIRECTIVE.split(self.text)
        pattern = ""
        for n, part in enumerate(parts):
            if n % 2 == 0:
                pattern += _escaped(part)
            elif "" in (parts[n - 1] if n > 1 else " ", parts[n + 1] if n + 2 < len(parts) else " "):
                pattern += f"(?:{_DIRECTIVES[part].replace(_TWO, '[0-9]{2}')})"  # 1112026 would be two days
            else:
                pattern += f"(?:{_DIRECTIVES[part]})"
        return pattern

    def read_sql(self, expr: str, as_type: str) -> str:
        """SQL of the value; NULL if the text is not of this format."""
        value = f"try_strptime({expr}, {literal(self.text)})"
        fits = f"regexp_full_match({expr}, {literal(self.pattern)})"
        if self._directives & _WEEKDAYS:
            fits += f" AND contains(lower({expr}), lower(strftime({value}, '%a')))"
        return f"CASE WHEN {fits} THEN CAST({value} AS {as_type}) END"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spelling:
    """How the values of a column are written."""

    nulls: tuple[str, ...] = ()  #: words that mean no value
    decimal: str = "."  #: before fractions
    thousands: str = ""  #: between groups of three digits; a blank may also be one that does not break
    currency: str = ""  #: may stand before or behind an amount
    percent: bool = False  #: `12.5%` is 0.125
    parentheses: bool = False  #: `(3)` is -3
    trailing: bool = False  #: `3-` is -3
    signs: bool = False  #: `+3` is 3, and `−3`, with the minus sign of typography, is -3
    dates: tuple[DateFormat, ...] = ()  #: beside ISO 8601
    not_finite: bool = False  #: NaN and Infinity are numbers
    bare_exponents: bool = False  #: `1E5` is a number, not a code
    #: the values were DOUBLEs and are written in the fewest digits that read back as the same
    floats: bool = False
    #: some were numbers in the file, written as JSON does; what would be another number as text may be either
    mixed: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether all is written as JSON and ISO 8601 do."""
        return not (self.nulls or self.dates or self.is_of_people)

    @property
    def is_of_people(self) -> bool:
        """Whether numbers are written in another way than JSON's."""
        return self.of_values() != self

    def of_values(self) -> Spelling:
        """The same where numbers were values in the file, not text."""
        return replace(
            self,
            decimal=".",
            thousands="",
            currency="",
            percent=False,
            parentheses=False,
            trailing=False,
            signs=False,
            mixed=False,
        )

    def text_sql(self, expr: str) -> str:
        """SQL of the text; NULL for a word that means no value."""
        if not self.nulls:
            return expr
        return f"CASE WHEN {expr} IN ({', '.join(map(literal, self.nulls))}) THEN NULL ELSE {expr} END"

    def number_sql(self, expr: str) -> str:
        """SQL of the number as JSON writes it; NULL if it is written in another way than this."""
        if not self.is_of_people:
            return expr
        number = self._canonical(expr)
        rest = ""
        if self.mixed:
            is_plain = f"regexp_full_match({expr}, {literal(_PLAIN_NUMBER)})"
            number = f"CASE WHEN NOT {is_plain} OR {number} = {expr} THEN {number} END"
            rest = f" WHEN {is_plain} THEN {expr}"
        return (
            f"CASE WHEN regexp_full_match({expr}, {literal(self._number)}) THEN {number}{rest}"
            f" WHEN regexp_full_match({expr}, '{_NOT_FINITE}') THEN {expr} END"
        )

    def date_formats(self, types: Sequence[str]) -> tuple[DateFormat, ...]:
        """The formats of values of these SQL types."""
        return tuple(one for one in self.dates if one.type in types)

    @property
    def has_dates_of_digits(self) -> bool:
        """Whether digits are dates before they are numbers: a format has eight or more of them, and none has fewer."""
        sizes = [size for one in self.dates if (size := one.digits)]
        return bool(sizes) and min(sizes) >= _MANY_DIGITS

    @property
    def _number(self) -> str:
        point, gap = _escaped(self.decimal), _BLANK if self.thousands == " " else _escaped(self.thousands)
        grouped = f"[1-9][0-9]{{0,2}}(?:{gap}[0-9]{{3}})+|" if self.thousands else ""
        whole, fraction = f"(?:{grouped}0|[1-9][0-9]*)", f"{point}[0-9]+(?:[eE][-+]?[0-9]+)?"
        sign_of_exponent = "[-+]?" if self.bare_exponents else "[-+]"
        size = f"(?:{whole}(?:{fraction}|[eE]{sign_of_exponent}[0-9]+)?|{fraction})"
        sign = _escaped(self.currency)
        amount = f"(?:(?:{sign}{_BLANK}?)?{size}|{size}(?:{_BLANK}?{sign})?)" if sign else size
        percent = f"(?:{_BLANK}?%)?" if self.percent else ""
        before = f"[-+{_MINUS}]" if self.signs else "-"
        forms = [f"{before}?{amount}{percent}"]
        if sign:
            forms.append(f"{sign}{_BLANK}?{before}{size}{percent}")
        if self.parentheses:
            forms.append(f"[(]{amount}{percent}[)]")
        if self.trailing:
            forms.append(f"{amount}{percent}-")
            if sign:
                forms.append(f"{size}-{_BLANK}?{sign}")
        return "|".join(forms)

    def _canonical(self, expr: str) -> str:
        bare = f"replace({expr}, {literal(self.currency)}, '')" if self.currency else expr
        if self.signs:
            bare = f"replace(regexp_replace({bare}, '^([^0-9]*)[+]', '\\1'), '{_MINUS}', '-')"
        gap = "" if self.thousands in ("", " ") else f"|{_escaped(self.thousands)}"
        behind = "|-[^0-9]*$" if self.trailing else ""
        bare = f"regexp_replace({bare}, {literal(f'[()%]|{_BLANK}{behind}{gap}')}, '', 'g')"
        if self.decimal != ".":
            bare = f"replace({bare}, {literal(self.decimal)}, '.')"
        if mark := "[(]" if self.parentheses else "-[^0-9]*$" if self.trailing else "":  # zero has no sign
            is_negative = f"regexp_matches({expr}, '{mark}') AND regexp_matches({expr}, '[1-9]')"
            bare = f"CASE WHEN {is_negative} THEN '-' ELSE '' END || {bare}"
        if self.percent:
            bare = once(
                "b", bare, lambda b: f"CASE WHEN contains({expr}, '%') THEN {_hundredth(b)} ELSE {b} END"
            )
        return bare


def once(name: str, expr: str, body: Callable[[str], str]) -> str:
    """SQL of `body` with `name` for what `expr` gives: written and computed once, however often the body has it."""
    return (
        body(expr) if _NAME.fullmatch(expr) else f"list_transform([{expr}], lambda {name}: {body(name)})[1]"
    )


def _hundredth(number: str) -> str:
    """SQL of a number with its point two digits to the left; with an exponent, two less of that."""
    whole = f"ltrim(split_part({number}, '.', 1), '-')"
    padded = f"lpad({whole}, greatest(length({whole}), 3)::INTEGER, '0')"
    sign = f"CASE WHEN starts_with({number}, '-') THEN '-' ELSE '' END"
    moved = f"{sign} || {padded}[:-3] || '.' || {padded}[-2:] || split_part({number}, '.', 2)"
    return f"CASE WHEN regexp_matches({number}, '[eE]') THEN NULL ELSE {moved} END"


def _escaped(text: str) -> str:
    """The text as a regular expression of RE2 that means it."""
    return "".join(
        char if char.isalnum() else f"[{char}]" if char not in "[]^\\" else f"\\{char}" for char in text
    )


#: As JSON and ISO 8601 write values.
PLAIN = Spelling()
