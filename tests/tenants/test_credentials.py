"""Is the credentials file complete, closed to others, and never lost or written over?"""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends import fail
from keyring.errors import KeyringLocked, PasswordDeleteError

from amci.cli.output import Output
from amci.kernel.errors import AmciError, AuthError, ConfigError, NotFound, UsageError
from amci.kernel.testing import FakeClock
from amci.kernel.workspace import WorkspacePaths
from amci.tenants.credentials import Credential, CredentialStore, MemoryCredentials, credentials_from
from amci.tenants.keys import KeySource

PLANTED = "planted-secret"
CREDENTIAL = Credential(
    "amzn1.application-oa2-client.7890", f"{PLANTED}-client", f"{PLANTED}-refresh", f"{PLANTED}-access"
)
KEY = base64.b64encode(bytes(range(32))).decode()
FRESH = "fresh"
OTHER_KEY = bytes(range(1, 33)).hex()


class Keychain(KeyringBackend):
    """A keyring as a desktop has it, that ends with the test."""

    priority = -5.0  # of the class: no other test is to find it

    def __init__(self) -> None:
        super().__init__()
        self.priority = 5.0
        self.entries: dict[tuple[str, str], str] = {}
        self.is_locked = False

    def get_password(self, service: str, username: str) -> str | None:
        if self.is_locked:
            raise KeyringLocked
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        if self.is_locked:
            raise KeyringLocked
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if self.entries.pop((service, username), None) is None:
            raise PasswordDeleteError


class Forgetful(Keychain):
    """A keyring that takes what it is given and keeps nothing."""

    def set_password(self, service: str, username: str, password: str) -> None:
        pass


@pytest.fixture(autouse=True)
def _no_keyring() -> Iterator[None]:
    before = keyring.get_keyring()
    keyring.set_keyring(fail.Keyring())
    yield
    keyring.set_keyring(before)


@pytest.fixture
def keychain() -> Keychain:
    made = Keychain()
    keyring.set_keyring(made)
    return made


@pytest.fixture
def workspace(tmp_path: Path) -> WorkspacePaths:
    return WorkspacePaths(tmp_path.resolve())


def store_at(workspace: WorkspacePaths, key: str = "") -> CredentialStore:
    return CredentialStore(workspace, {"AMCI_KEY": key} if key else {}, FakeClock())


def filled(workspace: WorkspacePaths, key: str = "") -> CredentialStore:
    store = store_at(workspace, key)
    store.put({"default": CREDENTIAL})
    return store


def says(error: AmciError) -> str:
    """Everything a person or a log may see of an error."""
    err = io.StringIO()
    Output(stderr=err).error(error)
    return err.getvalue() + repr(error)


@pytest.mark.parametrize("key", [KEY, OTHER_KEY, "correct horse battery staple", ""])
def test_what_was_put_is_there_for_the_next_process(workspace: WorkspacePaths, key: str) -> None:
    expiring = replace(CREDENTIAL, expires_at=FakeClock().now())
    filled(workspace, key).put({"eu": expiring})
    again = store_at(workspace, key)
    assert again.get("default") == CREDENTIAL
    assert again.get("eu") == expiring
    again.set_secret("hook", f"{PLANTED}-hook")
    assert store_at(workspace, key).secret("hook") == f"{PLANTED}-hook"


def test_no_secret_lies_readable_on_the_disk(workspace: WorkspacePaths) -> None:
    filled(workspace).set_secret("hook", f"{PLANTED}-hook")
    for path in workspace.credentials.parent.iterdir():
        assert PLANTED.encode() not in path.read_bytes()
        assert path.stat().st_mode & 0o077 == 0


def test_a_key_may_be_base64_hex_or_anything(workspace: WorkspacePaths) -> None:
    raw = bytes(range(32))
    filled(workspace, KEY)
    for text in (
        raw.hex(),
        raw.hex().upper(),
        base64.urlsafe_b64encode(raw).decode().rstrip("="),
        f" {KEY}\n",
    ):
        assert store_at(workspace, text).get("default") == CREDENTIAL


def test_a_passphrase_makes_another_key_in_each_workspace(tmp_path: Path) -> None:
    headers = []
    for name in ("a", "b"):
        place = WorkspacePaths(tmp_path / name)
        filled(place, "correct horse")
        headers.append(json.loads(place.credentials.read_bytes().partition(b"\n")[0]))
    assert headers[0]["salt"] != headers[1]["salt"]
    assert headers[0]["key_id"] != headers[1]["key_id"]


def test_each_write_takes_a_fresh_nonce(workspace: WorkspacePaths) -> None:
    store, nonces = filled(workspace, KEY), set()
    for n in range(5):
        store.set_secret("hook", str(n))
        nonces.add(json.loads(workspace.credentials.read_bytes().partition(b"\n")[0])["nonce"])
    assert len(nonces) == 5


def test_an_update_that_changes_nothing_writes_nothing(workspace: WorkspacePaths) -> None:
    store = filled(workspace, KEY)
    before = workspace.credentials.read_bytes()
    assert store.update("default", lambda stored: stored) == CREDENTIAL
    assert workspace.credentials.read_bytes() == before


def test_an_update_that_raises_changes_nothing(workspace: WorkspacePaths) -> None:
    store = filled(workspace, KEY)
    before = workspace.credentials.read_bytes()

    def refuse(_: Credential) -> Credential:
        raise AuthError("refused")

    with pytest.raises(AuthError, match="refused"):
        store.update("default", refuse)
    assert workspace.credentials.read_bytes() == before
    store.set_secret("hook", "the lock is free again")


@pytest.mark.parametrize("key", [OTHER_KEY, "a passphrase"])
def test_a_wrong_key_is_said_to_be_one_and_nothing_is_written_over(
    workspace: WorkspacePaths, key: str
) -> None:
    filled(workspace, KEY)
    before = workspace.credentials.read_bytes()
    wrong = store_at(workspace, key)
    for attempt in (
        lambda: wrong.get("default"),
        lambda: wrong.put({"default": CREDENTIAL}),
        wrong.rotate,
        wrong.list,
    ):
        with pytest.raises(AuthError, match="AMCI_KEY is not the key") as caught:
            attempt()
        assert caught.value.hint
        assert key not in says(caught.value)
    assert workspace.credentials.read_bytes() == before


def test_a_missing_key_is_not_made_anew_beside_a_locked_file(workspace: WorkspacePaths) -> None:
    filled(workspace)
    workspace.key_file.unlink()
    store = store_at(workspace)
    with pytest.raises(AuthError, match=r"state/credentials\.enc is missing"):
        store.put({"default": CREDENTIAL})
    assert not workspace.key_file.exists()


def test_another_key_in_the_key_file_is_said_to_be_one(workspace: WorkspacePaths) -> None:
    filled(workspace)
    workspace.key_file.write_text(KEY)
    with pytest.raises(AuthError, match="another one"):
        store_at(workspace).get("default")


def test_a_changed_byte_anywhere_is_noticed_and_left_as_it_is(workspace: WorkspacePaths) -> None:
    filled(workspace, KEY)
    whole = workspace.credentials.read_bytes()
    for at in range(len(whole)):
        changed = bytearray(whole)
        changed[at] ^= 1
        workspace.credentials.write_bytes(changed)
        store = store_at(workspace, KEY)
        with pytest.raises(AuthError) as caught:
            store.get("default")
        assert caught.value.hint
        with pytest.raises(AuthError):
            store.set_secret("hook", "x")
        assert workspace.credentials.read_bytes() == changed


def test_a_file_that_ends_too_early_is_noticed(workspace: WorkspacePaths) -> None:
    filled(workspace, KEY)
    whole = workspace.credentials.read_bytes()
    for length in range(0, len(whole), 7):
        workspace.credentials.write_bytes(whole[:length])
        with pytest.raises(AuthError, match="damaged"):
            store_at(workspace, KEY).get("default")


@pytest.mark.parametrize(
    "header", [b"[]", b"null", b'{"version": 1}', b"x" * 5000, b"\xff", b'{"version": 1, "key_id']
)
def test_a_file_of_somebody_else_is_not_opened(workspace: WorkspacePaths, header: bytes) -> None:
    workspace.credentials.parent.mkdir()
    workspace.credentials.write_bytes(header + b"\nrest")
    with pytest.raises(AuthError, match="damaged"):
        store_at(workspace, KEY).get("default")


def test_a_file_of_a_newer_amci_is_said_to_be_one(workspace: WorkspacePaths) -> None:
    filled(workspace, KEY)
    content = workspace.credentials.read_bytes()
    workspace.credentials.write_bytes(content.replace(b'"version": 1', b'"version": 2', 1))
    with pytest.raises(AuthError, match="newer amci"):
        store_at(workspace, KEY).get("default")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_key_file_that_others_can_read_is_refused_with_the_command(
    workspace: WorkspacePaths, mode: int
) -> None:
    filled(workspace)
    workspace.key_file.chmod(mode)
    with pytest.raises(AuthError, match=f"mode {mode:04o}") as caught:
        store_at(workspace).get("default")
    assert f"chmod 600 {workspace.key_file}" in caught.value.hint
    workspace.key_file.chmod(0o600)
    assert store_at(workspace).get("default") == CREDENTIAL


@pytest.mark.parametrize("content", ["", "short", KEY + " short"])
def test_a_key_file_without_a_key_is_refused(workspace: WorkspacePaths, content: str) -> None:
    filled(workspace)
    workspace.key_file.write_text(content)
    with pytest.raises(AuthError, match=r"credentials\.key holds no key"):
        store_at(workspace).get("default")


def test_the_key_is_made_once_and_its_place_is_told(workspace: WorkspacePaths) -> None:
    store = store_at(workspace)
    assert store.key_source() is None
    store.put({"default": CREDENTIAL})
    key = workspace.key_file.read_bytes()
    store_at(workspace).put({"eu": CREDENTIAL})
    assert workspace.key_file.read_bytes() == key
    assert store.key_source() is KeySource.FILE
    assert store.keys.where(KeySource.FILE) == "state/credentials.key"


def test_a_key_from_outside_leaves_no_key_behind(workspace: WorkspacePaths) -> None:
    assert filled(workspace, KEY).key_source() is KeySource.ENVIRONMENT
    assert not workspace.key_file.exists()


def test_the_keyring_is_preferred_to_the_key_file(workspace: WorkspacePaths, keychain: Keychain) -> None:
    assert filled(workspace).key_source() is KeySource.KEYRING
    assert list(keychain.entries) == [("amci", str(workspace.home))]
    assert not workspace.key_file.exists()
    assert store_at(workspace).get("default") == CREDENTIAL


def test_the_key_in_the_environment_goes_before_the_keyring(
    workspace: WorkspacePaths, keychain: Keychain
) -> None:
    assert filled(workspace, KEY).key_source() is KeySource.ENVIRONMENT
    assert keychain.entries == {}


def test_a_keyring_that_keeps_nothing_is_passed_over(workspace: WorkspacePaths) -> None:
    keyring.set_keyring(Forgetful())
    assert filled(workspace).key_source() is KeySource.FILE
    assert store_at(workspace).get("default") == CREDENTIAL


def test_a_locked_keyring_costs_an_error_and_no_key(workspace: WorkspacePaths, keychain: Keychain) -> None:
    filled(workspace)
    keychain.is_locked = True
    with pytest.raises(AuthError, match="missing") as caught:
        store_at(workspace).put({"default": CREDENTIAL})
    assert "unlock the keyring" in caught.value.hint
    keychain.is_locked = False
    assert store_at(workspace).get("default") == CREDENTIAL


def test_a_new_key_opens_the_file_and_the_old_one_does_not(workspace: WorkspacePaths) -> None:
    store = filled(workspace)
    old_key, old_file = workspace.key_file.read_bytes(), workspace.credentials.read_bytes()
    assert store.rotate() is KeySource.FILE
    assert store.get("default") == CREDENTIAL
    assert store_at(workspace).get("default") == CREDENTIAL
    assert len(workspace.key_file.read_text().split()) == 1
    assert old_key.strip() not in workspace.key_file.read_bytes()
    workspace.key_file.write_bytes(old_key)
    with pytest.raises(AuthError):
        store_at(workspace).get("default")
    workspace.credentials.write_bytes(old_file)
    assert store_at(workspace).get("default") == CREDENTIAL


def test_a_store_notices_that_another_process_changed_the_key(workspace: WorkspacePaths) -> None:
    store = filled(workspace)
    store_at(workspace).rotate()
    assert store.get("default") == CREDENTIAL


def test_the_key_moves_to_the_keyring_where_there_is_one_now(workspace: WorkspacePaths) -> None:
    store = filled(workspace)
    keychain = Keychain()
    keyring.set_keyring(keychain)
    assert store.rotate() is KeySource.KEYRING
    assert not workspace.key_file.exists()
    assert store_at(workspace).get("default") == CREDENTIAL


def test_a_key_that_is_given_replaces_the_one_in_the_keyring(
    workspace: WorkspacePaths, keychain: Keychain
) -> None:
    assert filled(workspace).rotate(OTHER_KEY) is KeySource.ENVIRONMENT
    assert keychain.entries == {}
    assert store_at(workspace, OTHER_KEY).get("default") == CREDENTIAL


def test_amci_does_not_change_the_key_in_the_environment(workspace: WorkspacePaths) -> None:
    store = filled(workspace, KEY)
    with pytest.raises(UsageError, match="AMCI_KEY") as caught:
        store.rotate()
    assert "AMCI_NEW_KEY" in caught.value.hint
    assert store.rotate("a passphrase") is KeySource.ENVIRONMENT
    assert store_at(workspace, "a passphrase").get("default") == CREDENTIAL


def test_a_rotation_that_stops_half_way_leaves_a_file_that_opens(workspace: WorkspacePaths) -> None:
    store = filled(workspace)
    store.keys.renew("", b"")  # the fresh key is kept, the file is still locked with the old one
    assert len(workspace.key_file.read_text().split()) == 2
    assert store_at(workspace).get("default") == CREDENTIAL
    store_at(workspace).rotate()
    assert len(workspace.key_file.read_text().split()) == 1


def test_there_is_nothing_to_rotate_before_the_first_credentials(workspace: WorkspacePaths) -> None:
    with pytest.raises(AuthError, match="no credentials yet"):
        store_at(workspace).rotate()
    assert not workspace.key_file.exists()


def test_the_list_shows_no_secret(workspace: WorkspacePaths) -> None:
    store = filled(workspace, KEY)
    store.put({"eu": replace(CREDENTIAL, refresh_token="")})
    shown = store.list()
    assert [(row.auth_id, row.client_id, row.has_refresh_token) for row in shown] == [
        ("default", "…7890", True),
        ("eu", "…7890", False),
    ]
    assert PLANTED not in repr(shown)


def test_a_fresh_access_token_is_no_change_of_the_login(workspace: WorkspacePaths) -> None:
    clock = FakeClock()
    store = CredentialStore(workspace, {"AMCI_KEY": KEY}, clock)
    store.put({"default": CREDENTIAL})
    began = clock.now()
    clock.turn(timedelta(hours=1))
    store.update("default", lambda stored: replace(stored, access_token=FRESH))
    assert store.list()[0].changed_at == began
    store.update("default", lambda stored: replace(stored, refresh_token=FRESH))
    assert store.list()[0].changed_at == clock.now()


def test_removed_is_gone_and_unknown_is_said(workspace: WorkspacePaths) -> None:
    store = filled(workspace, KEY)
    store.set_secret("hook", "x")
    store.remove("default")
    store.remove_secret("hook")
    with pytest.raises(AuthError, match="no credentials 'default'") as caught:
        store.get("default")
    assert "amci auth set default" in caught.value.hint
    with pytest.raises(AuthError, match="no secret 'hook'"):
        store.secret("hook")
    for gone in (store.remove, store.remove_secret):
        with pytest.raises(NotFound):
            gone("default")


def test_looking_makes_no_file(workspace: WorkspacePaths) -> None:
    with pytest.raises(AuthError):
        store_at(workspace).get("default")
    assert list(workspace.home.iterdir()) == []


@pytest.mark.parametrize("show", [repr, str, "{!r:}".format])
def test_no_repr_shows_a_secret(workspace: WorkspacePaths, show: object) -> None:
    store = filled(workspace, KEY)
    memory = MemoryCredentials({"default": CREDENTIAL})
    for value in (CREDENTIAL, [CREDENTIAL], store, store.keys, memory, store._key, store._read()):
        assert PLANTED not in show(value)  # type: ignore[operator]
        assert KEY not in show(value)  # type: ignore[operator]
        assert str(bytes(range(32)))[2:20] not in show(value)  # type: ignore[operator]


def test_credentials_in_memory_behave_like_those_in_the_file(workspace: WorkspacePaths) -> None:
    for source in (MemoryCredentials({"default": CREDENTIAL}), filled(workspace, KEY)):
        changed = source.update("default", lambda stored: replace(stored, access_token=FRESH))
        assert changed == source.get("default") == replace(CREDENTIAL, access_token=FRESH)
        with pytest.raises(AuthError, match="no credentials 'eu'"):
            source.get("eu")
        with pytest.raises(AuthError, match="no credentials 'eu'"):
            source.update("eu", lambda stored: stored)


UPDATES = """
import sys
from dataclasses import replace
from pathlib import Path
from amci.kernel.clock import SystemClock
from amci.tenants.credentials import CredentialStore
from amci.kernel.workspace import WorkspacePaths
store = CredentialStore(WorkspacePaths(Path(sys.argv[1])), {"AMCI_KEY": sys.argv[2]}, SystemClock())
for _ in range(50):
    store.update("default", lambda c: replace(c, refresh_token=c.refresh_token + sys.argv[3]))
"""


def test_two_processes_lose_no_update_of_each_other(workspace: WorkspacePaths) -> None:
    store = store_at(workspace, KEY)
    store.put({"default": replace(CREDENTIAL, refresh_token="")})
    both = [
        subprocess.Popen([sys.executable, "-c", UPDATES, str(workspace.home), KEY, name]) for name in "ab"
    ]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    token = store.get("default").refresh_token
    assert (token.count("a"), token.count("b"), len(token)) == (50, 50, 100)


FLAT = {"client_id": "id", "client_secret": "secret", "refresh_token": "refresh"}


@pytest.mark.parametrize(
    ("document", "auth_id", "expected"),
    [
        (FLAT, None, {"default": Credential("id", "secret", "refresh")}),
        (FLAT, "eu", {"eu": Credential("id", "secret", "refresh")}),
        (
            {**FLAT, "refresh_token": None, "authorization_code": "c", "access_token": "a"},
            None,
            {"default": Credential("id", "secret", "")},
        ),
        (
            {"one": FLAT, "two": {**FLAT, "client_id": " two\n"}},
            None,
            {"one": Credential("id", "secret", "refresh"), "two": Credential("two", "secret", "refresh")},
        ),
        ({"one": FLAT, "two": FLAT}, "two", {"two": Credential("id", "secret", "refresh")}),
    ],
)
def test_both_layouts_of_the_aws_secret_are_read(
    document: object, auth_id: str | None, expected: dict[str, Credential]
) -> None:
    assert credentials_from(json.dumps(document), "secret.json", auth_id) == expected


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("{", ["line 1: Expecting property name enclosed in double quotes"]),
        ("[]", ["should be a JSON object"]),
        ('{"client_id": "a", "client_id": "b"}', ["client_id: stands twice"]),
        ("{}", ["client_id: field required", "client_secret: field required"]),
        (
            '{"client_id": 0, "client_secrte": "planted-secret", "refresh_token": ["planted-secret"]}',
            [
                "client_secret: field required",
                "client_secrte: unknown key",
                "client_id: should be text, and not empty",
                "refresh_token: should be text",
            ],
        ),
        (
            '{"one": {"client_id": " "}, "two": "planted-secret"}',
            [
                "one.client_secret: field required",
                "one.client_id: should be text, and not empty",
                "two: should be an object with client_id, client_secret, refresh_token",
            ],
        ),
    ],
)
def test_all_mistakes_of_a_secret_are_told_without_its_values(text: str, problems: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        credentials_from(text, "secret.json", None)
    assert [str(p) for p in caught.value.problems] == [f"secret.json: {says}" for says in problems]
    assert PLANTED not in says(caught.value)


def test_an_entry_that_is_asked_for_has_to_be_there() -> None:
    with pytest.raises(ConfigError, match="has no entry 'eu'"):
        credentials_from(json.dumps({"one": FLAT}), "secret.json", "eu")
