"""The key that locks the credentials file: where it is found, made, changed and given up.

Looked for in this order: AMCI_KEY (32 bytes as base64 or hex; anything else is a passphrase), the OS keyring
(service `amci`, user = the workspace's path), the key file. AMCI_KEY, if it is set, is the key: nothing else
is tried. Keyring and key file may hold several keys between blanks, newest first: so it is
while a key is being changed, and a process that is killed in between leaves a file that still opens.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from amci.kernel.errors import AuthError, UsageError
from amci.kernel.files import plain_file, storage_errors, write_bytes
from amci.kernel.workspace import WorkspacePaths

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

ENVIRONMENT_KEY = "AMCI_KEY"
_SERVICE = "amci"
_KEY_BYTES = 32
_LONGEST_FILE = 1 << 16  #: bytes that are read of it; a key has 44
#: keyring's own mark between stores that keep a secret and those that only hold it.
_RECOMMENDED = 1


class KeySource(StrEnum):
    """Where a key lies."""

    ENVIRONMENT = "environment"
    KEYRING = "keyring"
    FILE = "file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key of 32 bytes."""

    value: bytes = field(repr=False)
    source: KeySource

    @property
    def key_id(self) -> str:
        """Eight hex digits that tell keys apart without telling them."""
        return hashlib.sha256(self.value).hexdigest()[:8]


class Keys:
    """The keys of one workspace. Whoever changes them holds the lock of the credentials file."""

    def __init__(self, workspace: WorkspacePaths, environ: Mapping[str, str]) -> None:
        self._workspace = workspace
        self._environ = environ

    def find(self, key_id: str, salt: bytes) -> Key:
        """The key that is called `key_id`; raises AuthError if there is none."""
        given = self._environ.get(ENVIRONMENT_KEY, "").strip()
        if given:
            key = from_text(given, salt)
            if key.key_id == key_id:
                return key
            raise AuthError(
                f"{ENVIRONMENT_KEY} is not the key that {self._shown} was locked with",
                hint=f"set {ENVIRONMENT_KEY} to the right key, or unset it if the key lies elsewhere",
            )
        has_any = False
        for source in (KeySource.KEYRING, KeySource.FILE):
            for key in self._kept(source):
                if key.key_id == key_id:
                    return key
                has_any = True
        raise AuthError(
            f"the key to {self._shown} is {'another one' if has_any else 'missing'}: it is not in"
            f" {ENVIRONMENT_KEY}, the OS keyring or {self._workspace.relative(self._workspace.key_file)}",
            hint="unlock the keyring, bring the key file back, or set AMCI_KEY; if the key is lost, move"
            " the credentials file away and run `amci auth set` (a keyring knows a workspace by its path)",
        )

    def make(self, salt: bytes) -> Key:
        """The key for a new credentials file: the one there is, or a fresh one that is kept from now on."""
        given = self._environ.get(ENVIRONMENT_KEY, "").strip()
        if given:
            return from_text(given, salt)
        kept = self._kept(KeySource.KEYRING) or self._kept(KeySource.FILE)
        return kept[0] if kept else self._keep_fresh()

    def renew(self, new: str, salt: bytes) -> Key:
        """The next key: `new` as text, or a fresh one, kept beside the ones there are.

        Raises UsageError if the key is AMCI_KEY and no new one is given: amci cannot change that.
        """
        if new:
            return from_text(new, salt)
        if self._environ.get(ENVIRONMENT_KEY, "").strip():
            raise UsageError(
                f"the key comes from {ENVIRONMENT_KEY}, which amci cannot change",
                hint="set AMCI_NEW_KEY to the new key, run `amci auth rotate`, then set AMCI_KEY to it",
            )
        return self._keep_fresh()

    def keep_only(self, key: Key) -> None:
        """Give up every other key that the keyring or the key file holds."""
        for source in (KeySource.KEYRING, KeySource.FILE):
            if source is key.source:
                self._keep([key])
            elif source is KeySource.FILE:
                with storage_errors("remove the old key file"):
                    self._workspace.key_file.unlink(missing_ok=True)
            elif self._kept(source):
                _keyring_delete(self._user)

    def forget(self) -> None:
        """Give up every key that the keyring or the key file holds; raises StorageError, AuthError."""
        with storage_errors("remove the key file"):
            self._workspace.key_file.unlink(missing_ok=True)
        if self._kept(KeySource.KEYRING):
            _keyring_delete(self._user)

    def where(self, source: KeySource) -> str:
        """Where a key lies, in words."""
        return {
            KeySource.ENVIRONMENT: f"the environment ({ENVIRONMENT_KEY})",
            KeySource.KEYRING: f"the OS keyring (service {_SERVICE})",
            KeySource.FILE: self._workspace.relative(self._workspace.key_file),
        }[source]

    @property
    def _shown(self) -> str:
        return self._workspace.relative(self._workspace.credentials)

    @property
    def _user(self) -> str:
        return str(self._workspace.home)

    def _keep_fresh(self) -> Key:
        fresh = os.urandom(_KEY_BYTES)
        for source in (KeySource.KEYRING, KeySource.FILE):
            key = Key(value=fresh, source=source)
            if self._keep([key, *self._kept(source)]):
                break
        return key

    def _keep(self, keys: Sequence[Key]) -> bool:
        """Put `keys`, all of one source, where they belong; False if the keyring does not take them."""
        lines = [base64.b64encode(key.value).decode() for key in keys]
        if keys[0].source is KeySource.KEYRING:
            return _keyring_set(self._user, " ".join(lines))
        write_bytes(self._workspace.key_file, ("\n".join(lines) + "\n").encode(), mode=0o600)
        return True

    def _kept(self, source: KeySource) -> list[Key]:
        """The keys that lie there, newest first."""
        text = _keyring_get(self._user) if source is KeySource.KEYRING else self._file_text()
        values = [_key_bytes(line) for line in text.split()]
        if source is KeySource.FILE and text and not all(values):
            raise AuthError(
                f"{self.where(source)} holds no key of {_KEY_BYTES} bytes",
                hint="bring it back from a backup, or set AMCI_KEY to the key",
            )
        return [Key(value=value, source=source) for value in values if value]

    def _file_text(self) -> str:
        """The key file; AuthError if others could read it or it is not ours."""
        path = self._workspace.key_file
        try:
            with storage_errors("read the key file"), plain_file(path) as file:
                status = os.fstat(file.fileno())
                content = file.read(_LONGEST_FILE)
        except FileNotFoundError:
            return ""
        shown = self._workspace.relative(path)
        if status.st_uid != os.geteuid():
            raise AuthError(f"{shown} belongs to another user", hint=f"run `chown $(id -u) {path}`")
        if status.st_mode & 0o077:
            raise AuthError(
                f"{shown} can be read by others (mode {status.st_mode & 0o777:04o})",
                hint=f"run `chmod 600 {path}`; if others may have read it, run `amci auth rotate` after that",
            )
        return content.decode(errors="replace") or "empty"


def from_text(text: str, salt: bytes) -> Key:
    """The key that AMCI_KEY means: 32 bytes as base64 or hex, else a passphrase stretched with `salt`."""
    return Key(value=_key_bytes(text.strip()) or _stretched(text.strip(), salt), source=KeySource.ENVIRONMENT)


def _key_bytes(text: str) -> bytes | None:
    if re.fullmatch(r"[0-9A-Fa-f]{64}", text):
        return bytes.fromhex(text)
    standard = text.replace("-", "+").replace("_", "/")
    try:
        value = base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return value if len(value) == _KEY_BYTES else None


def _stretched(passphrase: str, salt: bytes) -> bytes:
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    # 32 MiB, three passes: one of the equal choices of OWASP's password storage sheet.
    return Scrypt(salt=salt, length=_KEY_BYTES, n=2**15, r=8, p=3).derive(passphrase.encode())


def _backend() -> KeyringBackend | None:
    """The OS keyring, if there is one that keeps secrets."""
    import keyring
    from keyring.errors import KeyringError

    try:
        backend = keyring.get_keyring()
        is_usable = backend.priority >= _RECOMMENDED
    except (KeyringError, ImportError, AttributeError, RuntimeError, OSError):
        return None
    return backend if is_usable else None


def _keyring_get(user: str) -> str:
    from keyring.errors import KeyringError

    backend = _backend()
    try:
        return (backend.get_password(_SERVICE, user) if backend else None) or ""
    except (KeyringError, OSError):
        return ""


def _keyring_set(user: str, text: str) -> bool:
    from keyring.errors import KeyringError

    backend = _backend()
    if backend is None:
        return False
    try:
        backend.set_password(_SERVICE, user, text)
    except (KeyringError, OSError):
        return False
    return _keyring_get(user) == text  # some backends take a secret and keep nothing


def _keyring_delete(user: str) -> None:
    from keyring.errors import KeyringError

    backend = _backend()
    if backend is None:
        return
    try:
        backend.delete_password(_SERVICE, user)
    except (KeyringError, OSError) as error:
        raise AuthError(
            "the OS keyring did not give up the old key", hint="remove the entry 'amci' there by hand"
        ) from error
