"""Which rule a column has: names are compared as people write them, and fields inside other fields are found.

A rule names a column, or some steps of the way to a field: `email` and `user.email` both mean the `email` of
`{"user": {"email": …}}` and of `{"orders": [{"user": {"email": …}}]}`, and `user` means everything inside it.
The rule that names most of the way wins, then the one that names the deeper part.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Generic, TypeVar

from amci.kernel.errors import MalformedFile
from amci.kernel.names import comparable, suggestion
from amci.lake.formats import ColumnPath

_DIGITS = "0123456789"
#: Ways to fields that are remembered; a file whose keys are values has as many as it has values.
_REMEMBERED = 10_000
#: Words that headers are made of and that are nobody's name, place or number.
# fmt: off
_WORDS = frozenset({
    "account", "addr", "address", "amount", "billing", "birth", "birthdate", "buyer", "campaign",
    "channel", "city", "code", "contact", "cost", "country", "created", "currency", "customer", "date",
    "day", "digest", "dob", "e", "email", "first", "full", "hash", "hashed", "home", "id", "identifier",
    "ids", "item", "key", "last", "mail", "mobile", "month", "name", "no", "note", "notes", "nr",
    "number", "order", "orders", "payer", "person", "phone", "plain", "postal", "postcode", "price",
    "primary", "product", "profile", "quantity", "recipient", "recipients", "region", "sha", "shipping",
    "sku", "ssn", "state", "status", "street", "subscriber", "surname", "tax", "tel", "telephone", "time",
    "total", "type", "updated", "user", "users", "value", "visitor", "work", "year", "zip",
})
# fmt: on
#: So many columns are named in an error.
_NAMED = 20


R = TypeVar("R")


class ColumnRules(Generic[R]):
    """Rules by the names of the columns that they are for. Two names must not be `comparable` to the same."""

    def __init__(self, rules: Mapping[str, R]) -> None:
        self._rules = {comparable(column): (column, rule) for column, rule in rules.items()}
        self._longest = max(map(len, self._rules), default=0)
        self._remembered: dict[ColumnPath, tuple[str, R] | None] = {}
        self._meanings: dict[str, bool] = {}

    def of_column(self, name: str, path: ColumnPath) -> tuple[str, R] | None:
        """The rule of a column with this catalogue name, and the name that the rule has; None if there is none."""
        return self._rules.get(comparable(name)) or self.of(path)

    def of(self, path: ColumnPath) -> tuple[str, R] | None:
        """The rule of what lies at `path`, and the name that the rule has; None if there is none.

        A number behind a name is looked through (`email_2`, `email.1`): it tells repeated columns apart, and
        the second is no less personal.
        """
        if path not in self._remembered:
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            self._remembered[path] = self._resolved(path)
        return self._remembered[path]

    def may_mean(self, name: str) -> bool:
        """Whether a field of this name, wherever it is, can be what a rule means."""
        if name not in self._meanings:
            if len(self._meanings) >= _REMEMBERED:
                self._meanings.clear()
            steps = [step for part in name.split(".") if (step := comparable(part))]
            self._meanings[name] = any(
                rule.endswith((step, step.rstrip(_DIGITS) or step)) for step in steps for rule in self._rules
            )
        return self._meanings[name]

    def _resolved(self, path: ColumnPath) -> tuple[str, R] | None:
        steps = [step for name in path for part in name.split(".") if (step := comparable(part))]
        for length in range(min(len(steps), self._longest), 0, -1):
            for end in range(len(steps), length - 1, -1):
                name = "".join(steps[end - length : end])
                if rule := self._rules.get(name) or self._rules.get(name.rstrip(_DIGITS)):
                    return rule
        return None


def missing(
    absent: Sequence[str], columns: Mapping[str, ColumnPath], declared: Iterable[str], known: Iterable[str]
) -> MalformedFile:
    """The error about rules whose columns a file lacks.

    `columns` are the file's, by catalogue name; `declared` are the columns of all rules. A header may be a row of
    values. So only columns are named that the lake has already (`known`), or whose every word headers are made of.
    """
    names = {comparable(name) for name in (*declared, *known)}
    words = _WORDS.union(*map(_words, declared))
    shown = [name for name, path in columns.items() if _is_name(".".join(path), names, words)]
    there = f"{len(columns)} column{'s' if len(columns) != 1 else ''}"
    if shown:
        hidden = len(columns) - len(shown[:_NAMED])
        there += f": {', '.join(shown[:_NAMED])}" + (f" and {hidden} more" if hidden else "")
    # If most cells are names, it is a header, and the others are names too.
    is_header = 2 * len(shown) > len(columns)
    near = _nearest(absent, columns if is_header else shown)
    return MalformedFile(
        f"pii: no column {', '.join(absent)} in the file; it has {there}",
        hint=(f"did you mean {near}? " if near else "")
        + "Correct the rule, or the file: it needs a header. If files may lack the column, mark the rule"
        " `optional: true`; then send or reprocess the file",
    )


def _is_name(cell: str, names: set[str], words: frozenset[str]) -> bool:
    if "@" in cell:
        return False
    return comparable(cell) in names or (
        sum(c.isdigit() for c in cell) <= 1 and bool(found := _words(cell)) and found <= words
    )


def _words(name: str) -> set[str]:
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", unicodedata.normalize("NFKC", name))
    return {comparable(word) for word in re.findall(r"[^\W\d_]+", apart)}


def _nearest(absent: Sequence[str], names: Iterable[str]) -> str:
    spelled = {comparable(name): name for name in names if "@" not in name}
    found: dict[str, None] = {}
    for column in absent:
        key = comparable(column)
        inside = [name for name in spelled if key in name or (len(name) > 2 and name in key)]  # noqa: PLR2004
        if near := suggestion(key, inside) or suggestion(key, spelled) or next(iter(inside), None):
            found[f"'{spelled[near]}'"] = None
    return ", ".join(found)
