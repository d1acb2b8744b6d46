"""Personal data: dropped or hashed in light transforms, before anything is written.

The normalisation before hashing follows Amazon Ads, "Format audience file for hashing"
(https://advertising.amazon.com/help/GCCXMZYCK4RXWS6C), in the way the "Amazon Marketing Cloud uploader from
AWS" carries it out (normalizers in its `source/glue`), so that hashes made here match those made there:

- email: lower case, nothing kept but a-z, 0-9 and `. @ - _`; so `+` goes, and what is around it stays
- phone: digits only, without the leading `00`. The country code has to be in the number already. One that a program
  has made a fraction (`49301234567.0`, `4.9301234567E+10`) is its digits again; if some are lost (`4.93E+10`), NULL
- first_name, last_name, city, state: lower case, NFC, ß ä ö ü ø æ become ss ae oe ue o ae, then nothing kept
  but a-z and 0-9. Amazon wants two-letter states: spell them so before, for the country is not known here
- postal: the same; of a US ZIP+4 (`12345-6789`) the first five digits, of a fraction (`12345.0`) the whole number
- plain: the value exactly as it is

Then SHA-256 over UTF-8 in lower-case hex. A `keyed` column uses HMAC-SHA-256 instead: without the key a phone
number cannot be found by trying them all, and Amazon cannot match it either.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import AfterValidator, Discriminator, Tag

from amci.kernel.config import Strict
from amci.kernel.errors import ConfigError, MalformedFile, Problem
from amci.kernel.names import comparable
from amci.lake.datasets.column_rules import ColumnRules, missing
from amci.lake.datasets.personal_values import Form, Sample, looks_like_a_figure, looks_like_a_value
from amci.lake.formats import ColumnPath
from amci.lake.formats.columns import compact
from amci.lake.formats.json_cursor import Number

if TYPE_CHECKING:
    import pyarrow as pa

Normaliser = Literal["email", "phone", "plain", "first_name", "last_name", "postal", "city", "state"]


class PiiHash(Strict):
    """Replace the values of a column by their hash."""

    hash: Normaliser
    """How a value is normalised before it is hashed."""
    keyed: bool = False
    """Use HMAC with the workspace's secret key (AMCI_PII_KEY), so that values cannot be guessed."""
    optional: bool = False
    """Whether files may lack the column. A file without it is refused otherwise."""


class PiiDrop(Strict):
    """Leave a column out."""

    drop: Literal[True]
    """`true`."""
    optional: bool = False
    """Whether files may lack the column. A file without it is refused otherwise."""


PiiRule = PiiHash | PiiDrop | Literal["drop", "public"]


def is_optional(rule: PiiRule) -> bool:
    """Whether files may lack the column of a rule."""
    return rule == "public" or (not isinstance(rule, str) and rule.optional)


def _kind(rule: object) -> str:
    """Which kind of rule is meant, so that a mistake is told of that kind alone."""
    if not isinstance(rule, (Mapping, PiiHash, PiiDrop)):
        return "word"
    is_drop = isinstance(rule, PiiDrop) or (
        isinstance(rule, Mapping) and "drop" in rule and "hash" not in rule
    )
    return "PiiDrop" if is_drop else "PiiHash"


_ReadRule = Annotated[
    Annotated[PiiHash, Tag("PiiHash")]
    | Annotated[PiiDrop, Tag("PiiDrop")]
    | Annotated[Literal["drop", "public"], Tag("word")],
    Discriminator(_kind),
]


def _distinct(rules: dict[str, PiiRule]) -> dict[str, PiiRule]:
    seen: dict[str, str] = {}
    for column in rules:
        name = comparable(column)
        if not name:
            raise ValueError(f"'{column}' has no letter or digit")
        other = seen.setdefault(name, column)
        if other != column:
            raise ValueError(f"{other} and {column} are the same column")
    return rules


#: `pii:` of a dataset: column to rule. Columns are compared as people write them, see `ColumnRules`.
PiiRules = Annotated[dict[str, _ReadRule], AfterValidator(_distinct)]

_KEY = re.compile(r'"([^"]*)"\s*:')
_JSON = json.JSONDecoder(parse_float=Number, parse_int=Number)
_DIGEST = re.compile(r"[0-9a-fA-F]{64}")
#: A number that a program has made a fraction; phone numbers have more digits.
_FRACTION, _LONG_FRACTION = re.compile(r"\s*([0-9]{3,})[.,]0\s*"), re.compile(r"\s*\+?([0-9]{7,})[.,]00?\s*")
#: A phone number as a power of ten: digits of it may be lost.
_MANGLED = re.compile(r"\s*\+?([0-9])(?:[.,]([0-9]*))?[eE]\+?([0-9]+)\s*")
#: With so many digits behind the point, none is lost: Excel shows five at most, other programs all there are.
_ALL_DIGITS = 7
_ZIP_PLUS_4 = re.compile(r"([0-9]{5})-[0-9]{4}")
_LETTERS = str.maketrans({"ß": "ss", "ä": "ae", "ö": "oe", "ü": "ue", "ø": "o", "æ": "ae"})


def _email(text: str) -> str:
    return re.sub(r"[^a-z0-9._@-]", "", text.lower())


def _phone(text: str) -> str:
    if whole := _LONG_FRACTION.fullmatch(text):
        text = whole[1]
    elif power := _MANGLED.fullmatch(text):
        text = _expanded(power)
    return re.sub(r"[^0-9]", "", text).removeprefix("00")


def _expanded(power: re.Match[str]) -> str:
    """The digits of a power of ten; nothing if it has lost some, or is no whole number."""
    first, rest = power[1], power[2] or ""
    if len(rest) < _ALL_DIGITS or len(power[3]) > 2 or len(rest.rstrip("0")) > (zeros := int(power[3])):  # noqa: PLR2004
        return ""
    return first + rest[:zeros].ljust(zeros, "0")


def _words(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", unicodedata.normalize("NFC", text).lower().translate(_LETTERS))


def _postal(text: str) -> str:
    short = _ZIP_PLUS_4.fullmatch(text.strip()) or _FRACTION.fullmatch(text)
    return short[1] if short else _words(text)


_NORMALISERS: dict[Normaliser, Callable[[str], str]] = {
    **dict.fromkeys(get_args(Normaliser), _words),
    "email": _email,
    "phone": _phone,
    "postal": _postal,
    "plain": str,
}


def hashed(text: str, rule: PiiHash, key: bytes | None) -> str | None:
    """The hash that stands for one value; None if normalisation leaves nothing to hash.

    The empty text stays, and a value that looks like a SHA-256 digest (64 hex digits) is taken for one: it
    only becomes lower case. A phone number that a spreadsheet has shortened (`4.93E+10`) is not known any more: None.
    A keyed rule needs the key.
    """
    if not text:
        return text
    if _DIGEST.fullmatch(text):
        return text.lower()
    if _is_mangled(text, rule):
        return None
    normal = _NORMALISERS[rule.hash](text).encode(errors="surrogatepass")
    if not normal:
        return None
    if rule.keyed:
        return hmac.new(key or b"", normal, hashlib.sha256).hexdigest()
    return hashlib.sha256(normal).hexdigest()


def protect(batch: pa.RecordBatch, rules: Mapping[str, PiiRule], key: bytes | None) -> pa.RecordBatch:
    """The batch as `Protection.apply` leaves it; a rule for a column the batch lacks does nothing."""
    return Protection(rules, key).apply(batch)


class Protection:
    """The rules of a dataset, applied to one file batch by batch."""

    def __init__(self, rules: Mapping[str, PiiRule], key: bytes | None, nulls: Collection[str] = ()) -> None:
        """`nulls` are words that mean no value: they become NULL where values are hashed."""
        self._rules = rules
        self._nulls = frozenset(nulls)
        self._mangled: Counter[str] = Counter()
        self._key = key
        self._columns = ColumnRules(rules)
        self._plans: dict[tuple[str, ...], list[tuple[str, PiiRule] | None]] = {}
        self._paths: dict[str, ColumnPath] = {}
        self._met: set[str] = set()
        self._sample = Sample(_forms(rules))

    @property
    def notes(self) -> list[dict[str, Any]]:
        """What `look` found, and phone numbers that were none any more, as notes of a quality rule."""
        says = "pii: column {} holds phone numbers that a spreadsheet has shortened (4.93E+10); they are NULL"
        mangled = [
            {"rule": says.format(column), "on_fail": "warn", "rows": count}
            for column, count in sorted(self._mangled.items())
        ]
        return mangled + self._sample.notes

    def apply(
        self, data: pa.RecordBatch, paths: Sequence[ColumnPath] = (), inner: Sequence[ColumnPath] = ()
    ) -> pa.RecordBatch:
        """The rows without the columns to drop and with hashes in the columns to hash; NULL stays NULL.

        `paths` are the columns' names as the file has them, `inner` the fields inside columns of JSON text. Such
        fields are dropped or hashed where they are. Raises ConfigError if a rule is keyed and there is no key,
        MalformedFile if a column's name is a value.
        """
        import pyarrow as pa

        if not self._key and any(isinstance(rule, PiiHash) and rule.keyed for rule in self._rules.values()):
            problem = Problem("", "pii", "a keyed column needs a secret key, and there is none")
            raise ConfigError(
                [problem], hint="Set AMCI_PII_KEY to a long random text and keep it: hashes depend on it."
            )
        paths = paths or [(name,) for name in data.schema.names]
        fields, arrays = [], []
        for found, path, field, array in zip(
            self._plan(data, paths, inner), paths, data.schema, data.columns, strict=True
        ):
            rule = found[1] if found else None
            if _drops(rule):
                continue
            fields.append(field)
            if isinstance(rule, PiiHash):
                arrays.append(self._hashed(array, field.name, rule))
            else:
                arrays.append(self._inside(array, path))
        schema = pa.schema(fields, metadata=data.schema.metadata)
        return pa.RecordBatch.from_arrays(arrays, schema=schema)

    def look(self, data: pa.RecordBatch) -> None:
        """Look for personal values in a sample of rows that `apply` gave."""
        kept = {
            name
            for name in data.schema.names
            if (found := self._columns.of_column(name, self._paths.get(name, (name,))))
            and found[1] == "public"
        }
        self._sample.look(data, but=kept)

    def next_file(self) -> None:
        """Forget the columns of one file in an archive: each of them has to have those with a rule."""
        self._plans.clear()
        self._paths.clear()
        self._met.clear()

    def require(self, known: Callable[[], Iterable[str]]) -> None:
        """Raise MalformedFile if the file lacks a column that it should have, or has a row of data as its header.

        `known` gives names of columns the lake has already. The error names only columns that are no values.
        """
        absent = [
            column
            for column, rule in self._rules.items()
            if column not in self._met and not is_optional(rule)
        ]
        if absent:
            raise missing(absent, self._paths, self._rules, known())
        if not self._met and any(looks_like_a_figure(path[-1]) for path in self._paths.values()):
            raise _headless()

    def _plan(
        self, data: pa.RecordBatch, paths: Sequence[ColumnPath], inner: Sequence[ColumnPath]
    ) -> list[tuple[str, PiiRule] | None]:
        """The rule of each column; made once for each set of columns."""
        names = tuple(data.schema.names)
        if names not in self._plans and data.num_rows:
            if any(looks_like_a_value(cell) for path in (*paths, *inner) for cell in path):
                raise _headless()
            self._paths.update(zip(names, paths, strict=True))
            self._plans[names] = [self._columns.of_column(*at) for at in zip(names, paths, strict=True)]
            found = [*self._plans[names], *map(self._columns.of, inner)]
            self._met.update(rule[0] for rule in found if rule)
        return self._plans.get(names) or [
            self._columns.of_column(*at) for at in zip(names, paths, strict=True)
        ]

    def _inside(self, array: pa.Array, path: ColumnPath) -> pa.Array:
        """The column with the rules applied to fields of JSON objects in its values."""
        import pyarrow as pa

        if not (pa.types.is_string(array.type) and _may_hold_object(_characters(array))):
            return array
        values = array.to_pylist()
        changed = False
        for i, text in enumerate(values):
            if text and _may_hold_object(text.encode()) and (safe := self._rewritten(text, path)) is not None:
                values[i], changed = safe, True
        return pa.array(values, array.type) if changed else array

    def _rewritten(self, text: str, path: ColumnPath) -> str | None:
        """JSON text with the rules applied; None if it is not JSON or no rule applies."""
        # Most objects hold nothing of the kind, and reading their keys is quicker than reading them.
        if not ("\\" in text or "[[" in text or any(map(self._columns.may_mean, _KEY.findall(text)))):
            return None
        try:
            value = _JSON.decode(text)
        except ValueError:
            return None
        except RecursionError:
            raise MalformedFile("pii: a value is nested too deeply to look for personal data") from None
        safe = self._safe(value, path)
        # Half of a surrogate pair, which JSON can write, is no text.
        return None if safe == value else compact(safe).encode(errors="replace").decode()

    def _safe(self, value: Any, path: ColumnPath) -> Any:
        if isinstance(value, dict):
            return {
                name: self._safe(item, (*path, name))
                for name, item in value.items()
                if not self._is_dropped((*path, name))
            }
        if isinstance(value, list):
            if value and all(_is_pair(item) for item in value):
                return [
                    [name, self._safe(item, (*path, name))]
                    for name, item in value
                    if not self._is_dropped((*path, name))
                ]
            return [self._safe(item, path) for item in value]
        found = self._columns.of(path)
        if found and isinstance(found[1], PiiHash) and value is not None:
            self._met.add(found[0])
            text = value if isinstance(value, str) else compact(value)
            self._mangled += Counter([found[0]] if _is_mangled(text, found[1]) else [])
            return None if text in self._nulls else hashed(text, found[1], self._key)
        if isinstance(value, str) and "{" in value:
            inner = self._rewritten(value, path)
            return value if inner is None else inner
        return value

    def _hashed(self, array: pa.Array, column: str, rule: PiiHash) -> pa.Array:
        """Hash each distinct value once: names, cities and states repeat."""
        import pyarrow as pa

        codes = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
        texts = codes.dictionary.to_pylist()
        if mangled := {i for i, text in enumerate(texts) if text and _is_mangled(text, rule)}:
            self._mangled[column] += sum(i in mangled for i in codes.indices.to_pylist())
        values = [
            None if text is None or text in self._nulls else hashed(text, rule, self._key) for text in texts
        ]
        hashes = pa.array(values, codes.dictionary.type).take(codes.indices)
        return hashes.cast(array.type) if pa.types.is_dictionary(array.type) else hashes

    def _is_dropped(self, path: ColumnPath) -> bool:
        found = self._columns.of(path)
        if found:
            self._met.add(found[0])
        return bool(found and _drops(found[1]))


def _may_hold_object(text: bytes) -> bool:
    """Whether JSON text has an object in it, or the list of pairs that a map of Parquet becomes."""
    return b"{" in text or b"[[" in text


def _characters(array: pa.Array) -> bytes:
    """The UTF-8 of all values of a text column, one after the other."""
    _, offsets, characters = array.buffers()
    if not len(array) or characters is None:
        return b""
    ends = memoryview(offsets).cast("i")
    return bytes(memoryview(characters)[ends[array.offset] : ends[array.offset + len(array)]])


def _forms(rules: Mapping[str, PiiRule]) -> Iterator[Form]:
    """What to look for in columns without a rule: what the rules protect."""
    yield "e-mail addresses"
    hashes = {rule.hash for rule in rules.values() if isinstance(rule, PiiHash)}
    dropped = [comparable(column) for column, rule in rules.items() if _drops(rule)]
    if "phone" in hashes or any("phone" in column or "mobile" in column for column in dropped):
        yield "phone numbers"
    if "plain" in hashes or dropped:
        yield "social security numbers"


def _is_mangled(text: str, rule: PiiHash) -> bool:
    power = _MANGLED.fullmatch(text) if rule.hash == "phone" else None
    return power is not None and not _expanded(power)


def _drops(rule: PiiRule | None) -> bool:
    return rule == "drop" or isinstance(rule, PiiDrop)


def _is_pair(item: object) -> bool:
    return isinstance(item, list) and len(item) == 2 and isinstance(item[0], str)  # noqa: PLR2004


def _headless() -> MalformedFile:
    return MalformedFile(
        "pii: the names of the columns are values; the file may have no header",
        hint="Send it with a header; what a column without a name holds cannot be protected.",
    )
