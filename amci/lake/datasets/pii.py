"""Personal data: dropped or hashed in light transforms, before anything is written.

The normalisation before hashing follows Amazon Ads, "Format audience file for hashing"
(https://advertising.amazon.com/help/GCCXMZYCK4RXWS6C), in the way the "Amazon Marketing Cloud uploader from
AWS" carries it out (normalizers in its `source/glue`), so that hashes made here match those made there:

- email: lower case, nothing kept but a-z, 0-9 and `. @ - _`; so `+` goes, and what is around it stays
- phone: digits only, without the leading `00`. The country code has to be in the number already
- first_name, last_name, city, state: lower case, NFC, ß ä ö ü ø æ become ss ae oe ue o ae, then nothing kept
  but a-z and 0-9. Amazon wants two-letter states: spell them so before, for the country is not known here
- postal: the same, and of a US ZIP+4 (`12345-6789`) the first five digits
- plain: the value exactly as it is

Then SHA-256 over UTF-8 in lower-case hex. A `keyed` column uses HMAC-SHA-256 instead: without the key a phone
number cannot be found by trying them all, and Amazon cannot match it either.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Literal, get_args

from pydantic import AfterValidator

from amci.kernel.config import Strict
from amci.kernel.errors import ConfigError, Problem
from amci.kernel.names import sanitized

if TYPE_CHECKING:
    import pyarrow as pa

Normaliser = Literal["email", "phone", "plain", "first_name", "last_name", "postal", "city", "state"]


class PiiHash(Strict):
    """Replace the values of a column by their hash."""

    hash: Normaliser
    """How a value is normalised before it is hashed."""
    keyed: bool = False
    """Use HMAC with the workspace's secret key (AMCI_PII_KEY), so that values cannot be guessed."""


PiiRule = PiiHash | Literal["drop"]


def _distinct(rules: dict[str, PiiRule]) -> dict[str, PiiRule]:
    seen: dict[str, str] = {}
    for column in rules:
        other = seen.setdefault(sanitized(column), column)
        if other != column:
            raise ValueError(f"{other} and {column} are the same column")
    return rules


#: `pii:` of a dataset: column to rule; columns are compared by their catalogue names.
PiiRules = Annotated[dict[str, PiiRule], AfterValidator(_distinct)]

_NUMBERED = re.compile(r"_\d+$")
_DIGEST = re.compile(r"[0-9a-fA-F]{64}")
_ZIP_PLUS_4 = re.compile(r"([0-9]{5})-[0-9]{4}")
_LETTERS = str.maketrans({"ß": "ss", "ä": "ae", "ö": "oe", "ü": "ue", "ø": "o", "æ": "ae"})


def _email(text: str) -> str:
    return re.sub(r"[^a-z0-9._@-]", "", text.lower())


def _phone(text: str) -> str:
    return re.sub(r"[^0-9]", "", text).removeprefix("00")


def _words(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", unicodedata.normalize("NFC", text).lower().translate(_LETTERS))


def _postal(text: str) -> str:
    short = _ZIP_PLUS_4.fullmatch(text.strip())
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
    only becomes lower case. A keyed rule needs the key.
    """
    if not text:
        return text
    if _DIGEST.fullmatch(text):
        return text.lower()
    normal = _NORMALISERS[rule.hash](text).encode()
    if not normal:
        return None
    if rule.keyed:
        return hmac.new(key or b"", normal, hashlib.sha256).hexdigest()
    return hashlib.sha256(normal).hexdigest()


def protect(batch: pa.RecordBatch, rules: Mapping[str, PiiRule], key: bytes | None) -> pa.RecordBatch:
    """The batch without the columns to drop and with hashes in the columns to hash; NULL stays NULL.

    Columns are text and are matched by their catalogue names, with or without a number behind; a rule for a
    column the batch lacks does nothing. Raises ConfigError if a rule is keyed and there is no key.
    """
    import pyarrow as pa

    if not key and any(isinstance(rule, PiiHash) and rule.keyed for rule in rules.values()):
        problem = Problem("", "pii", "a keyed column needs a secret key, and there is none")
        raise ConfigError(
            [problem], hint="Set AMCI_PII_KEY to a long random text and keep it: hashes depend on it."
        )
    by_name = {sanitized(column): rule for column, rule in rules.items()}
    fields, arrays = [], []
    for field, array in zip(batch.schema, batch.columns, strict=True):
        name = sanitized(field.name)
        # A header that names a column twice makes `email_2` of the second; it is no less personal.
        rule = by_name.get(name) or by_name.get(_NUMBERED.sub("", name))
        if rule == "drop":
            continue
        fields.append(field)
        arrays.append(_hashed_array(array, rule, key) if isinstance(rule, PiiHash) else array)
    schema = pa.schema(fields, metadata=batch.schema.metadata)
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _hashed_array(array: pa.Array, rule: PiiHash, key: bytes | None) -> pa.Array:
    """Hash each distinct value once: names, cities and states repeat."""
    import pyarrow as pa

    codes = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
    values = [None if text is None else hashed(text, rule, key) for text in codes.dictionary.to_pylist()]
    hashes = pa.array(values, codes.dictionary.type).take(codes.indices)
    return hashes.cast(array.type) if pa.types.is_dictionary(array.type) else hashes
