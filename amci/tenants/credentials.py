"""Credentials for Amazon and secrets for notifications: in one encrypted file, or in memory.

The file's form is described in `encrypted_file`, its key in `keys`. Reading takes no lock: a write is a rename.
Whoever changes it holds `credentials.lock` from reading to writing, so that two processes never lose a
token that one of them has just been given.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from amci.kernel.clock import Clock, moment, timestamp
from amci.kernel.errors import AuthError, ConfigError, NotFound, Problem
from amci.kernel.files import bounded_bytes, json_of, storage_errors, write_bytes
from amci.kernel.workspace import WorkspacePaths
from amci.tenants import encrypted_file
from amci.tenants.keys import Key, Keys, KeySource


@dataclass(frozen=True, slots=True)
class Credential:
    """What a login with Amazon takes. Its repr shows no secret."""

    client_id: str
    client_secret: str
    refresh_token: str  #: empty until somebody has given consent (`amci auth login`)
    access_token: str = ""
    expires_at: datetime | None = None  #: of the access token; None: good until it is refused

    def __repr__(self) -> str:
        return f"Credential(client_id={masked(self.client_id)!r}, expires_at={self.expires_at})"


class CredentialSource(Protocol):
    """Where credentials are kept."""

    def get(self, auth_id: str) -> Credential:
        """The credential called `auth_id`; raises AuthError if there is none."""
        ...

    def update(self, auth_id: str, change: Callable[[Credential], Credential]) -> Credential:
        """Replace a credential by what `change` makes of it as it stands now, one caller at a time.

        `change` may take a while, raise, and must not ask for another update. Returns the new credential.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A credential as it may be shown."""

    auth_id: str
    client_id: str  #: its last four characters
    has_refresh_token: bool
    changed_at: datetime  #: when client or refresh token changed last; access tokens come and go


def masked(text: str) -> str:
    """Enough of an id to know it again."""
    return "…" + text[-4:] if text else ""


class MemoryCredentials:
    """Credentials that end with the process: for sandbox, replay and tests."""

    def __init__(self, credentials: Mapping[str, Credential]) -> None:
        self._credentials = dict(credentials)
        self._lock = threading.Lock()

    def get(self, auth_id: str) -> Credential:
        """The credential called `auth_id`; raises AuthError if there is none."""
        if auth_id not in self._credentials:
            raise _unknown(auth_id)
        return self._credentials[auth_id]

    def update(self, auth_id: str, change: Callable[[Credential], Credential]) -> Credential:
        """Replace a credential by what `change` makes of it, one caller at a time."""
        with self._lock:
            self._credentials[auth_id] = changed = change(self.get(auth_id))
        return changed


class CredentialStore:
    """The encrypted file of a workspace. Threads and processes may share it.

    Everything raises AuthError if the file is damaged, newer than this amci, or its key is missing or wrong;
    such a file is never written over.
    """

    def __init__(self, workspace: WorkspacePaths, environ: Mapping[str, str], clock: Clock) -> None:
        self.keys = Keys(workspace, environ)
        self._path = workspace.credentials
        self._shown = workspace.relative(workspace.credentials)
        self._clock = clock
        self._key: Key | None = None

    def get(self, auth_id: str) -> Credential:
        """The credential called `auth_id`; raises AuthError if there is none."""
        return _credential(self._read().document, auth_id)

    def update(self, auth_id: str, change: Callable[[Credential], Credential]) -> Credential:
        """Replace a credential by what `change` makes of it as it stands now, one process at a time."""
        with self._changing() as document:
            changed = change(_credential(document, auth_id))
            self._place(document, auth_id, changed)
        return changed

    def put(self, credentials: Mapping[str, Credential]) -> None:
        """Add or replace credentials by their auth_id, all in one write."""
        with self._changing() as document:
            for auth_id, credential in credentials.items():
                self._place(document, auth_id, credential)

    def remove(self, auth_id: str) -> None:
        """Forget a credential; raises NotFound."""
        self._drop("logins", auth_id, "credentials")

    def secret(self, name: str) -> str:
        """A secret for notifications; raises AuthError if there is none of that name."""
        found = self._read().document["secrets"].get(name)
        if found is None:
            raise AuthError(f"no secret '{name}'", hint=f"enter it with `amci auth set --secret {name}`")
        return str(found["value"])

    def set_secret(self, name: str, value: str) -> None:
        """Add or replace a secret for notifications."""
        with self._changing() as document:
            document["secrets"][name] = {"value": value, "changed_at": timestamp(self._clock.now())}

    def remove_secret(self, name: str) -> None:
        """Forget a secret for notifications; raises NotFound."""
        self._drop("secrets", name, "secret")

    def list(self) -> tuple[Login, ...]:
        """All credentials, without their secrets, by auth_id."""
        return tuple(
            Login(
                auth_id=auth_id,
                client_id=masked(entry["client_id"]),
                has_refresh_token=bool(entry["refresh_token"]),
                changed_at=moment(entry["changed_at"]),
            )
            for auth_id, entry in sorted(self._read().document["logins"].items())
        )

    def secrets(self) -> dict[str, datetime]:
        """Names of the secrets for notifications, with when each was changed."""
        entries = self._read().document["secrets"]
        return {name: moment(entry["changed_at"]) for name, entry in sorted(entries.items())}

    def key_source(self) -> KeySource | None:
        """Where the key lies that the file is locked with; None while there is no file."""
        key = self._read().key
        return key.source if key else None

    def rotate(self, new_key: str = "") -> KeySource:
        """Lock the file with another key, in one step, and give up the old one; returns where the new one lies.

        `new_key` is written as AMCI_KEY is; if it is empty a fresh key is made and kept. Raises UsageError
        if the key is AMCI_KEY and no new one is given.
        """
        with self._locked():
            content = self._read()
            if content.key is None:
                raise AuthError("there are no credentials yet", hint="enter them with `amci auth set`")
            salt = os.urandom(encrypted_file.SALT_BYTES)
            key = self.keys.renew(new_key, salt)
            self._write(content.document, key, salt)
            self.keys.keep_only(key)
        return key.source

    def _place(self, document: dict[str, Any], auth_id: str, credential: Credential) -> None:
        logins = document["logins"]
        entry = {
            "client_id": credential.client_id,
            "client_secret": credential.client_secret,
            "refresh_token": credential.refresh_token,
        }
        before = logins.get(auth_id)
        is_same = before is not None and all(before[name] == value for name, value in entry.items())
        changed_at = before["changed_at"] if is_same else timestamp(self._clock.now())
        expires_at = timestamp(credential.expires_at) if credential.expires_at else None
        access = {"access_token": credential.access_token, "expires_at": expires_at}
        logins[auth_id] = {**entry, **access, "changed_at": changed_at}

    def _drop(self, part: str, name: str, what: str) -> None:
        with self._changing() as document:
            if document[part].pop(name, None) is None:
                raise NotFound(f"no {what} '{name}'", hint="`amci auth list` shows what there is")

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Any]]:
        """The document, to be changed; it is written when the block ends well and something has changed."""
        with self._locked():
            content = self._read()
            before = json.dumps(content.document)
            yield content.document
            if json.dumps(content.document) != before:
                key = content.key or self.keys.make(content.salt)
                self._write(content.document, key, content.salt)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with storage_errors("lock the credentials"):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            with storage_errors("lock the credentials"):
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _read(self) -> _Content:
        try:
            with storage_errors(f"read {self._shown}"):
                content = bounded_bytes(self._path)
        except FileNotFoundError:
            return _Content({"logins": {}, "secrets": {}}, None, os.urandom(encrypted_file.SALT_BYTES))
        found = encrypted_file.read(content, self._shown)
        key = self._key
        if key is None or key.key_id != found.key_id:  # stretching a passphrase takes a while
            self._key = key = self.keys.find(found.key_id, found.salt)
        return _Content(encrypted_file.opened(found, key.value, self._shown), key, found.salt)

    def _write(self, document: dict[str, Any], key: Key, salt: bytes) -> None:
        write_bytes(self._path, encrypted_file.sealed(document, key.value, key.key_id, salt), mode=0o600)
        self._key = key


@dataclass(frozen=True, slots=True)
class _Content:
    """The file, opened; without a key if there is no file yet."""

    document: dict[str, Any] = field(repr=False)
    key: Key | None
    salt: bytes


def _credential(document: Mapping[str, Any], auth_id: str) -> Credential:
    entry = document["logins"].get(auth_id)
    if entry is None:
        raise _unknown(auth_id)
    return Credential(
        client_id=entry["client_id"],
        client_secret=entry["client_secret"],
        refresh_token=entry["refresh_token"],
        access_token=entry["access_token"],
        expires_at=moment(entry["expires_at"]) if entry["expires_at"] else None,
    )


def _unknown(auth_id: str) -> AuthError:
    return AuthError(
        f"no credentials '{auth_id}'",
        hint=f"enter them with `amci auth set {auth_id}`, then `amci auth login`",
    )


_NEEDED = ("client_id", "client_secret")
_FIELDS = (*_NEEDED, "refresh_token", "authorization_code", "access_token")


def credentials_from(text: str, shown: str, auth_id: str | None) -> dict[str, Credential]:
    """The credentials in a JSON document, by auth_id: both layouts of the AWS solution's secret (aws-solution 2.6).

    Flat, `{"client_id": …, "client_secret": …, "refresh_token": …}`, or several by their authId,
    `{"<auth_id>": {…}, …}`. `authorization_code` and `access_token` are accepted and left out: they end within minutes.

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
    found: dict[str, Credential] = {}
    for name, entry in entries.items():
        client_id, client_secret, refresh_token = (str(entry.get(f) or "").strip() for f in _FIELDS[:3])
        found[name] = Credential(client_id, client_secret, refresh_token)
    return found


def _document(text: str, shown: str) -> dict[str, Any]:
    twice: list[str] = []

    def pairs(given: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in given]
        twice.extend({name for name in names if names.count(name) > 1})
        return dict(given)

    try:
        document = json_of(text.removeprefix("\ufeff"), object_pairs_hook=pairs)
    except json.JSONDecodeError as error:
        raise ConfigError([Problem(shown, "", f"line {error.lineno}: {error.msg}")]) from None
    except ValueError as error:
        raise ConfigError([Problem(shown, "", str(error))]) from None
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
