"""Amazon's refusals in words that say which field of the tenant to look at."""

from __future__ import annotations

from typing import get_args

from amci.kernel.errors import AuthError, Refused, RemoteError
from amci.tenants.marketplaces import MARKETPLACES, shown
from amci.tenants.model import Region, Tenant

#: Amazon's words for an account nobody has accepted the terms for; it comes as a 401 (amc-api 1.5).
_TERMS = "terms and conditions"
_FORBIDDEN = 403


def is_about_terms(error: RemoteError) -> bool:
    """Whether Amazon refuses because AMC's terms were not accepted."""
    return _TERMS in str(error).lower()


def explained(error: RemoteError, tenant: Tenant) -> RemoteError:
    """The same refusal with what to do about it."""
    if is_about_terms(error):
        return RemoteError(
            f"nobody has accepted AMC's terms for account {tenant.advertiser_id}",
            request_id=error.request_id,
            hint="someone has to accept AMC's terms in the AMC console; "
            f"then run `amci tenant check {tenant.tenant}`",
        )
    if isinstance(error, AuthError):
        return AuthError(
            f"the login '{tenant.auth_id}' does not work: {error}",
            hint=error.hint or f"run `amci auth login {tenant.auth_id}`, or mend auth_id",
        )
    if isinstance(error, Refused) and error.status == _FORBIDDEN:
        return Refused(
            error.status,
            f"AMC does not let this login see instance {tenant.instance_id} under account "
            f"{tenant.advertiser_id} in marketplace {shown(tenant.marketplace_id)}",
            code=error.code,
            request_id=error.request_id,
            hint="check instance_id, advertiser_id (ENTITY…) and marketplace_id, and that the login "
            f"'{tenant.auth_id}' is a user of that AMC account",
        )
    return error


def no_instance(error: Refused, tenant: Tenant, seen: str) -> Refused:
    """There is no such instance; `seen` names those the login does see."""
    region = tenant.region
    sees = f"; this login sees there: {seen}" if seen else ""
    return Refused(
        error.status,
        f"no instance {tenant.instance_id} in region {region}: wrong id or wrong region{sees}",
        code=error.code,
        request_id=error.request_id,
        hint=f"check instance_id; {_untried(tenant)}",
    )


def _untried(tenant: Tenant) -> str:
    others = [region for region in get_args(Region) if region != tenant.region]
    untried = f"regions {' and '.join(others)} were not tried"
    if tenant.marketplace_id in MARKETPLACES:
        return f"{untried}, since marketplace {shown(tenant.marketplace_id)} is in {tenant.region}"
    return f"{untried}: `amci tenant update {tenant.tenant} region={others[0]}` looks there"
