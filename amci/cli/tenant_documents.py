"""Documents of tenants from files and from standard input, and values from the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from amci.kernel.config import read_text
from amci.kernel.errors import ConfigError, Problem, UsageError
from amci.tenants.documents import Given, tenants_from
from amci.tenants.model import Tenant

_STDIN = "-"


def given(names: Iterable[str], stdin: Callable[[], str]) -> Given:
    """The tenants of these files, YAML or JSON; `-` is what `stdin` reads.

    Raises ConfigError with the problems of all files.
    """
    tenants: list[Tenant] = []
    notes: list[str] = []
    problems: list[Problem] = []
    for name in names:
        shown = "standard input" if name == _STDIN else name
        try:
            text = stdin() if name == _STDIN else _text(Path(name))
            found = tenants_from(read_text(text, shown), shown)
        except ConfigError as error:
            problems += error.problems
            continue
        tenants += found.tenants
        notes += found.notes
    if problems:
        raise ConfigError(problems, hint="mend the fields named above; nothing was added")
    return Given(tuple(tenants), tuple(notes))


def assignments(pairs: Iterable[str]) -> Mapping[str, Any]:
    """`key=value` as a mapping: text fields as written, others read as YAML; raises UsageError."""
    found: dict[str, Any] = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not (key and sign):
            raise UsageError(f"'{pair}' is not key=value", hint="such as slots=5 or 'tags=[household, pets]'")
        field = Tenant.model_fields.get(key)
        is_text = field is not None and isinstance(field.default, str)
        found[key] = value if is_text else read_text(value, key)
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        says = error.strerror if isinstance(error, OSError) else None
        raise ConfigError([Problem(str(path), "", says or "is not UTF-8 text")]) from error
