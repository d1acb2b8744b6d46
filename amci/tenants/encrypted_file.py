"""The form of the credentials file: one line of JSON that says how it is locked, then the locked document.

    {"version": 1, "key_id": "9f86d081", "salt": "<32 hex>", "nonce": "<24 hex>"}
    <ciphertext>

`key_id` is the first 8 hex digits of the key's SHA-256, `salt` is what a passphrase is stretched with. The
ciphertext is AES-256-GCM over UTF-8 JSON with its tag at the end; the whole first line, without its line
break, is associated data, so no byte of the file can change unnoticed. Each write takes a fresh random nonce.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

from amci.kernel.errors import AuthError
from amci.kernel.files import json_of

VERSION = 1
SALT_BYTES = 16
_NONCE_BYTES = 12
_LONGEST_HEADER = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class EncryptedFile:
    """A credentials file that has been read, not yet opened."""

    key_id: str
    salt: bytes
    nonce: bytes
    header: bytes  #: as it stands in the file
    ciphertext: bytes


def read(content: bytes, shown: str) -> EncryptedFile:
    """The parts of a file; `shown` is what errors call it. Raises AuthError if it is none of ours."""
    header, end, ciphertext = content.partition(b"\n")
    if not end or len(header) > _LONGEST_HEADER:
        raise _damaged(shown)
    try:
        says = json_of(header)
        if isinstance(says["version"], int) and says["version"] > VERSION:
            raise AuthError(
                f"{shown} was written by a newer amci", hint="use that version, or a newer one, of amci"
            )
        parts = EncryptedFile(
            key_id=str(says["key_id"]),
            salt=bytes.fromhex(says["salt"]),
            nonce=bytes.fromhex(says["nonce"]),
            header=header,
            ciphertext=ciphertext,
        )
    except (ValueError, KeyError, TypeError):
        raise _damaged(shown) from None
    if len(parts.salt) != SALT_BYTES or len(parts.nonce) != _NONCE_BYTES:
        raise _damaged(shown)
    return parts


def opened(sealed: EncryptedFile, key: bytes, shown: str) -> dict[str, Any]:
    """The document inside; raises AuthError if a byte has changed or is missing."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        text = AESGCM(key).decrypt(sealed.nonce, sealed.ciphertext, sealed.header)
    except InvalidTag:
        raise _damaged(shown) from None
    document: dict[str, Any] = json.loads(text)
    return document


def sealed(document: dict[str, Any], key: bytes, key_id: str, salt: bytes) -> bytes:
    """`document` as the content of a file."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(_NONCE_BYTES)
    says = {"version": VERSION, "key_id": key_id, "salt": salt.hex(), "nonce": nonce.hex()}
    header = json.dumps(says).encode()
    return header + b"\n" + AESGCM(key).encrypt(nonce, json.dumps(document).encode(), header)


def _damaged(shown: str) -> AuthError:
    return AuthError(
        f"{shown} is damaged: it is not as amci wrote it, and amci leaves it as it is",
        hint="bring it back from a backup; or move it away and enter the credentials again with `amci auth set`",
    )
