"""Credentials as people have them in JSON: both layouts of the AWS solution's secret (aws-solution 2.6).

Flat, `{"client_id": …, "client_secret": …, "refresh_token": …}`, or several by their authId,
`{"<auth_id>": {…}, …}`. `authorization_code` and `access_token` are accepted and left out: they end within minutes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from amci.kernel.errors import ConfigError, Problem
from amci.tenants.credentials import Credential

_NEEDED = ("client_id", "client_secret")
_FIELDS = (*_NEEDED, "refresh_token", "authorization_code", "access_token")


def credentials_from(text: str, shown: str, auth_id: str | None) -> dict[str, Credential]:
    """The credentials in a JSON document, by auth_id.

    A flat one is `auth_id`'s (`default` if None); of several only `auth_id`'s is taken if one is named.
    Raises ConfigError with every mistake; `shown` is what it calls the document. It repeats no value.
    """
    document = _document(text, shown)
    is_flat = not document or any(name in _FIELDS for name in document)
    entries = {auth_id or "default": document} if is_flat else dict(document)
    if auth_id is not None and auth_id not in entries:
        raise ConfigError([Problem(shown, "", f"has no entry '{auth_id}', but {len(entries)} others")])
    entries = {name: entry for name, entry in entries.items() if auth_id in (None, name)}
    problems = [
        Problem(shown, field if is_flat else f"{name}.{field}".rstrip("."), says)
        for name, entry in entries.items()
        for field, says in _mistakes(entry)
    ]
    if problems:
        raise ConfigError(problems, hint="the form is that of the AWS solution's secret")
    return {name: _credential(entry) for name, entry in entries.items()}


def _document(text: str, shown: str) -> dict[str, Any]:
    twice: list[str] = []

    def pairs(given: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in given]
        twice.extend({name for name in names if names.count(name) > 1})
        return dict(given)

    try:
        document = json.loads(text.removeprefix("\ufeff"), object_pairs_hook=pairs)
    except json.JSONDecodeError as error:
        raise ConfigError([Problem(shown, "", f"line {error.lineno}: {error.msg}")]) from None
    if twice:
        raise ConfigError([Problem(shown, name, "stands twice") for name in twice])
    if not isinstance(document, dict):
        raise ConfigError([Problem(shown, "", "should be a JSON object")])
    return document


def _mistakes(entry: object) -> list[tuple[str, str]]:
    if not isinstance(entry, Mapping):
        return [("", f"should be an object with {', '.join(_FIELDS[:3])}")]
    missing = [(name, "field required") for name in _NEEDED if name not in entry]
    unknown = [(name, "unknown key") for name in entry if name not in _FIELDS]
    no_text = [
        (name, "should be text, and not empty" if name in _NEEDED else "should be text")
        for name in _FIELDS
        if name in entry and not _is_text(entry[name], may_be_empty=name not in _NEEDED)
    ]
    return missing + unknown + no_text


def _is_text(value: object, *, may_be_empty: bool) -> bool:
    if may_be_empty and value is None:
        return True
    return isinstance(value, str) and (may_be_empty or bool(value.strip()))


def _credential(entry: Mapping[str, Any]) -> Credential:
    client_id, client_secret, refresh_token = (str(entry.get(name) or "").strip() for name in _FIELDS[:3])
    return Credential(client_id, client_secret, refresh_token)
