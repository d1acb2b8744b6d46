"""`amci auth …`: parse, call, show."""

from __future__ import annotations

import sys
from typing import Annotated, Any, get_args

import typer

from amci.cli.context import Context, command
from amci.kernel.clock import new_id
from amci.kernel.environment import environment
from amci.kernel.errors import UsageError
from amci.kernel.files import source_text
from amci.tenants.credentials import Credential, CredentialStore, credentials_from
from amci.tenants.model import Region
from amci.workflows.amazon.login import TOKEN_URLS, code_from, consent_url, exchange_code

auth_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

AuthId = Annotated[str | None, typer.Argument(help="Which; 'default' if left out.")]


@command(auth_app, "set", epilog="Example: amci auth set --file secret.json")
def set_credentials(
    ctx: Context,
    auth_id: AuthId = None,
    file: Annotated[
        str | None, typer.Option(help="JSON like the AWS solution's secret, or `-`; else amci asks.")
    ] = None,
    secret: Annotated[
        str | None, typer.Option(metavar="NAME", help="A secret for notices instead: one value.")
    ] = None,
) -> None:
    """Enter credentials, or a secret for notices."""
    if secret is not None and auth_id is not None:
        raise UsageError("an AUTH_ID and --secret do not go together", hint="give one of them")
    store = _store(ctx)
    if secret is not None:
        value = source_text(file).rstrip("\r\n") if file else _asked(f"secret '{secret}'")
        store.set_secret(secret, _needed("secret", value))
        _say_kept(ctx, store, {"secret": secret}, f"secret '{secret}'")
        return
    given = _from_file(file, auth_id) if file else {auth_id or "default": _from_person()}
    store.put(given)
    _say_kept(ctx, store, {"auth_ids": list(given)}, f"credentials {', '.join(given)}")
    for name in (name for name, credential in given.items() if not credential.refresh_token):
        ctx.out.note(f"'{name}' has no refresh token yet: run `amci auth login {name}`")


@command(
    auth_app, "login", epilog="Example: amci auth login --redirect-uri https://localhost/callback --region EU"
)
def login(
    ctx: Context,
    auth_id: AuthId = None,
    redirect_uri: Annotated[
        str, typer.Option(help="One of the addresses allowed for your client at Amazon.")
    ] = "https://amazon.com",
    code: Annotated[str | None, typer.Option(help="The code from Amazon; else amci asks.")] = None,
    region: Annotated[str, typer.Option(help="Whose consent page: NA, EU or FE.")] = "NA",
) -> None:
    """Let somebody who may see the AMC account give consent, and keep the tokens."""
    name, store, where = auth_id or "default", _store(ctx), _region(region)
    have = store.get(name)
    answer, state = (code, None) if code else _consent(ctx, where, have.client_id, redirect_uri)
    made = exchange_code(
        code_from(answer, state),
        redirect_uri,
        client_id=have.client_id,
        client_secret=have.client_secret,
        token_url=TOKEN_URLS[where],
        clock=ctx.clock,
    )
    store.update(name, lambda _: made)
    ctx.out.record({"auth_id": name}, [f"'{name}' is logged in"])


@command(auth_app, "list", epilog="Example: amci auth list")
def list_credentials(ctx: Context) -> None:
    """What credentials and secrets there are, without their values, and where the key lies."""
    store = _store(ctx)
    logins = [
        {
            "auth_id": login.auth_id,
            "client_id": login.client_id,
            "has_refresh_token": login.has_refresh_token,
            "changed_at": login.changed_at,
        }
        for login in store.list()
    ]
    secrets = [{"secret": name, "changed_at": at} for name, at in store.secrets().items()]
    if ctx.out.as_json:
        ctx.out.record({"key": _key(store), "logins": logins, "secrets": secrets})
        return
    ctx.out.rows(logins, ["auth_id", "client_id", "has_refresh_token", "changed_at"], empty="no credentials")
    if secrets:
        ctx.out.text("")
        ctx.out.rows(secrets, ["secret", "changed_at"])
    ctx.out.text(f"key: {_key(store)}")


@command(auth_app, "rotate", epilog="Example: amci auth rotate")
def rotate(ctx: Context) -> None:
    """Lock the credentials with a new key (AMCI_NEW_KEY, else a fresh one) and give up the old one."""
    new = environment().get("AMCI_NEW_KEY", "")
    store = _store(ctx)
    where = store.keys.where(store.rotate(new))
    ctx.out.record({"key": where}, [f"locked with a new key, which lies in {where}"])
    if new:
        ctx.out.note("from now on AMCI_KEY has to be what AMCI_NEW_KEY is")


@command(auth_app, "remove", epilog="Example: amci auth remove default")
def remove(
    ctx: Context,
    name: Annotated[str, typer.Argument(metavar="AUTH_ID", help="Which credentials.")],
    *,
    is_secret: Annotated[bool, typer.Option("--secret", help="It is a secret for notices.")] = False,
) -> None:
    """Forget credentials, or a secret for notices."""
    store = _store(ctx)
    if is_secret:
        store.remove_secret(name)
    else:
        store.remove(name)
    ctx.out.record({"removed": name}, [f"removed '{name}'"])


def _store(ctx: Context) -> CredentialStore:
    return CredentialStore(ctx.workspace, environment(), ctx.clock)


def _key(store: CredentialStore) -> str:
    source = store.key_source()
    return store.keys.where(source) if source else "none yet"


def _say_kept(ctx: Context, store: CredentialStore, what: dict[str, Any], words: str) -> None:
    ctx.out.record({**what, "key": _key(store)}, [f"kept {words}; the key lies in {_key(store)}"])


def _from_file(file: str, auth_id: str | None) -> dict[str, Any]:
    return credentials_from(source_text(file), "standard input" if file == "-" else file, auth_id)


def _from_person() -> Any:
    client_id = _needed("client id", _asked("client id"))
    client_secret = _needed("client secret", _asked("client secret"))
    return Credential(client_id, client_secret, _asked("refresh token (empty: `amci auth login` gets one)"))


def _needed(what: str, value: str) -> str:
    if not value:
        raise UsageError(f"the {what} is empty", hint="nothing was changed; run the command again")
    return value


def _asked(label: str) -> str:
    """A line from the person at the terminal, who does not see it; or one from standard input."""
    if sys.stdin.isatty():
        return str(typer.prompt(label, default="", show_default=False, hide_input=True, err=True)).strip()
    return sys.stdin.readline().strip()


def _consent(ctx: Context, region: Region, client_id: str, redirect_uri: str) -> tuple[str, str | None]:
    """Show the consent page's address, read what came of it; returns that and the state it should name."""
    state = new_id()
    ctx.out.note(
        f"open this address and allow access:\n\n{consent_url(region, client_id, redirect_uri, state)}\n"
    )
    ctx.out.note("then paste the address your browser was sent to, or the code in it:")
    return sys.stdin.readline(), state


def _region(text: str) -> Region:
    regions: tuple[Region, ...] = get_args(Region)
    for region in regions:
        if region == text.upper():
            return region
    raise UsageError(f"no region '{text}'", hint=f"one of {', '.join(regions)}")
