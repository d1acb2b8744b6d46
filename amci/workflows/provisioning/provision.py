"""Provisioning: is everything there that a tenant needs? One run looks, step by step, and says what to do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from amci.kernel.clock import Clock, new_id
from amci.kernel.errors import AmciError, AuthError, NoAccess, NotFound, Refused, RemoteError, Unavailable
from amci.kernel.run import Done, Failed, NewRun, Outcome, Run, RunStatus, Skipped, Snooze
from amci.kernel.runs import RunStore
from amci.kernel.worker import SingleHandler
from amci.tenants.marketplaces import MARKETPLACES, shown
from amci.tenants.model import Region, Tenant
from amci.workflows.amc.model import Account

if TYPE_CHECKING:
    from amci.workflows.amc.client import AmcClient

_BEING_MADE = ("REQUESTED", "SUBMITTED", "IN_PROGRESS")
_MADE = ("COMPLETED", "SUCCEEDED")
_NOT_FOUND, _FORBIDDEN = 404, 403
#: Amazon's words for an account whose terms were not accepted; it comes as a 401 (amc-api 1.5).
_TERMS = "terms and conditions"
#: So many instances or accounts are named in a message; a login may see thousands.
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Step:
    """One step."""

    step: str
    ok: bool
    says: str
    do: str = ""  #: what somebody should do
    waits: bool = False  #: it may come by itself


class Inspection:
    """What a look at a tenant found, as it goes on."""

    def __init__(self, tenant: Tenant) -> None:
        self._tenant = tenant
        self.steps: list[Step] = []
        self.errors: list[AmciError] = []  #: of the steps that need somebody to do something
        self.waits_for = ""  #: what may come by itself; empty if nothing is waited for
        self.at_least = timedelta(0)  #: pause Amazon asked for

    def take(self, step: str, look: Callable[[], str]) -> bool:
        """Take a step and note what it says; whether all was as it should be."""
        try:
            self.steps.append(Step(step, ok=True, says=look()))
        except AmciError as error:
            self._note(step, _explained(error, self._tenant) if isinstance(error, RemoteError) else error)
            return False
        return True

    def _note(self, step: str, error: AmciError) -> None:
        waits = isinstance(error, RemoteError) and error.retryable
        self.steps.append(Step(step, ok=False, says=str(error), do=error.hint, waits=waits))
        if waits:
            self.waits_for = self.waits_for or str(error)
            # As Amazon asked, if the error carries it.
            self.at_least = max(self.at_least, getattr(error, "retry_after", None) or timedelta(0))
        else:
            self.errors.append(error)


def inspected(
    tenant: Tenant,
    clients: Callable[[Tenant], AmcClient],
    prepare: Callable[[Tenant], str],
    dataset_of: Callable[[str], str],
) -> Inspection:
    """Look at everything a tenant needs; one without an instance needs no AMC.

    A step that failed does not hide the others, but for those it makes impossible.
    """
    found = Inspection(tenant)
    if tenant.instance_id:
        amc = _Amc(tenant, clients)
        if found.take("credentials", amc.credentials):
            found.take("account", amc.account)
            if found.take("instance", amc.instance):
                found.take("advertisers", amc.advertisers)
    found.take("folder", lambda: prepare(tenant))
    key = f"{tenant.tenant}/workflow=sample/schedule=adhoc/2026-01-01-sample.csv"
    found.take("datasets", lambda: f"results become tables of dataset {dataset_of(key)}")
    return found


class _Amc:
    """A tenant's AMC; each method says what is there or raises RemoteError. `credentials` comes first."""

    def __init__(self, tenant: Tenant, clients: Callable[[Tenant], AmcClient]) -> None:
        self._tenant = tenant
        self._clients = clients
        self._access: AmcClient
        self._accounts: Sequence[Account] = ()
        self._refusal: RemoteError | None = None

    def credentials(self) -> str:
        """A refusal that is not about the login is kept for the next step."""
        self._access = self._clients(self._tenant)
        try:
            self._accounts = self._access.accounts()
        except (Refused, AuthError) as error:
            if isinstance(error, AuthError) and not _is_about_terms(error):
                raise
            self._refusal = error
        return f"Amazon takes the login '{self._tenant.auth_id}'"

    def account(self) -> str:
        if self._refusal:
            raise self._refusal
        tenant = self._tenant
        same = [account for account in self._accounts if account.account_id == tenant.advertiser_id]
        for account in same:
            if account.marketplace_id == tenant.marketplace_id:
                return f"{account.account_id} {account.name} in {shown(account.marketplace_id)}"
        if same:
            where = ", ".join(shown(account.marketplace_id) for account in same)
            raise RemoteError(
                f"account {tenant.advertiser_id} is in marketplace {where}, "
                f"not in {shown(tenant.marketplace_id)}",
                hint=f"run `amci tenant update {tenant.tenant} marketplace_id={same[0].marketplace_id}`",
            )
        seen = _named([f"{a.account_id} {a.name} in {shown(a.marketplace_id)}" for a in self._accounts])
        raise RemoteError(
            f"the login '{tenant.auth_id}' does not see account {tenant.advertiser_id}; it sees {seen}",
            hint="check advertiser_id (ENTITY…) and auth_id, or have this login added to the AMC account",
        )

    def instance(self) -> str:
        instance_id = self._tenant.instance_id
        try:
            found = self._access.instance(instance_id)
        except Refused as error:
            if error.status != _NOT_FOUND:
                raise
            raise _no_instance(error, self._tenant, self._seen()) from error
        if found.creation_status in _MADE:
            return f"{instance_id} {found.name}"
        if found.creation_status in _BEING_MADE:
            raise Unavailable(
                f"AMC is still making instance {instance_id} ({found.creation_status})",
                hint="wait: amci looks again by itself",
            )
        raise RemoteError(
            f"AMC could not make instance {instance_id}: its status is {found.creation_status}",
            hint="ask whoever requested it, or Amazon's support, to make it again; then correct instance_id",
        )

    def advertisers(self) -> str:
        found = len(self._access.advertisers())
        if not found:
            raise RemoteError(
                f"instance {self._tenant.instance_id} has no advertisers, so every result would be empty",
                hint="add advertisers to the instance in the AMC console",
            )
        return f"{found} advertiser{'s' if found > 1 else ''}"

    def _seen(self) -> str:
        """The instances this login sees, for a message; empty if Amazon does not say."""
        try:
            return _named([f"{i.instance_id} {i.name}".strip() for i in self._access.instances()])
        except RemoteError:
            return ""


def _named(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "") or "none"


def _is_about_terms(error: RemoteError) -> bool:
    """Whether Amazon refuses because AMC's terms were not accepted."""
    return _TERMS in str(error).lower()


def _explained(error: RemoteError, tenant: Tenant) -> RemoteError:
    """The same refusal with what to do about it."""
    if _is_about_terms(error):
        return RemoteError(
            f"AMC's terms have not been accepted for account {tenant.advertiser_id}",
            request_id=error.request_id,
            hint="someone has to accept AMC's terms in the AMC console; "
            f"then run `amci tenant check {tenant.tenant}`",
        )
    if isinstance(error, AuthError):
        return AuthError(
            f"the login '{tenant.auth_id}' does not work: {error}",
            hint=error.hint or f"run `amci auth login {tenant.auth_id}`, or correct auth_id",
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


def _no_instance(error: Refused, tenant: Tenant, seen: str) -> Refused:
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


KIND = "provision"
TenantStatus = Literal["NEW", "PENDING", "PROVISIONING", "READY", "FAILED"]

#: The steps that say whether AMC lets a login see the tenant's instance.
_ACCESS = ("credentials", "account", "instance")
#: AMC makes an instance within hours; one that takes a day needs somebody to ask.
_LONGEST_WAIT = timedelta(days=1)
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(minutes=1), timedelta(minutes=30)
#: The fields provisioning looks at; others may change without another look.
_LOOKED_AT = ("tenant", "region", "instance_id", "advertiser_id", "marketplace_id", "auth_id", "raw")


def provision_run(tenant: Tenant, *, again: str = "") -> NewRun:
    """The run that provisions a tenant: one for each definition, and another for each new word `again`."""
    looked_at = tenant.model_dump(mode="json", include=set(_LOOKED_AT))
    definition = hashlib.sha256(json.dumps(looked_at, sort_keys=True).encode()).hexdigest()[:16]
    key = f"{KIND}:{tenant.tenant}@{definition}"
    return NewRun(
        idempotency_key=f"{key}#{again}" if again else key,
        kind=KIND,
        payload={"tenant": tenant.tenant},
        tenant_id=tenant.tenant,
    )


def queue_provisioning(runs: RunStore, tenant: Tenant, *, again: bool) -> str:
    """Queue a run for a tenant, with `again` even if one has looked at this definition; returns its key."""
    run = provision_run(tenant)
    if not runs.create([run]) and again:
        run = provision_run(tenant, again=new_id())
        runs.create([run])
    return run.idempotency_key


def newest_run(runs: RunStore, tenant_id: str) -> Run | None:
    """The newest provision run of a tenant that was not cancelled."""
    passed_over = (RunStatus.CANCELLED, RunStatus.SKIPPED)
    found = runs.list(kind=KIND, tenant=tenant_id)
    return next((run for run in found if run.status not in passed_over), None)


def status_of(runs: RunStore, tenant_id: str) -> TenantStatus:
    """Where a tenant stands, by its newest provision run."""
    run = newest_run(runs, tenant_id)
    if run is None:
        return "NEW"
    if run.status is RunStatus.PENDING and not run.claims:
        return "PENDING"
    if not run.status.is_final:
        return "PROVISIONING"
    return "READY" if run.status is RunStatus.SUCCEEDED else "FAILED"


def no_access(
    runs: RunStore, tenant: Tenant, mode: str, logged_in_at: Callable[[], datetime | None]
) -> NoAccess | None:
    """Why AMC is not to be asked for a tenant: its newest check was refused there, and nothing has changed since.

    None if it was never checked, is about to be checked, or was checked with other ids, in another mode than `mode`,
    or before the login was changed (`logged_in_at`, asked only if the login was at fault). Recordings are not held
    to a check.
    """
    run = newest_run(runs, tenant.tenant)
    if run is None or run.status is not RunStatus.FAILED or mode == "replay":
        return None
    found = run.result or {}
    is_of_now = run.idempotency_key.partition("#")[0] == provision_run(tenant).idempotency_key
    if found.get("mode") != mode or not is_of_now:
        return None
    steps = (step for step in found.get("steps", ()) if not step["ok"] and not step.get("waits"))
    step = next((step for step in steps if step["step"] in _ACCESS), None)
    if step is None:
        return None
    if step["step"] == _ACCESS[0] and (at := logged_in_at()) and at > run.changed_at:
        return None
    return NoAccess(
        f"not asked of AMC: the check of tenant '{tenant.tenant}' failed: {step['says']}",
        hint=f"{step.get('do') or 'correct the tenant'}; then `amci tenant check {tenant.tenant}`, and `amci redrive`",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisionHandler(SingleHandler):
    """Handles runs of kind `provision`. Looking twice does no harm."""

    tenants: Callable[[str], Tenant]  #: the tenant with this id as it now is; raises NotFound
    clients: Callable[[Tenant], AmcClient]
    prepare: Callable[[Tenant], str]  #: makes or looks at its folder, says what there is; raises AmciError
    dataset_of: Callable[[str], str]  #: the dataset that takes a key; raises Unroutable
    clock: Clock
    mode: str = "live"  #: whose AMC is asked; what one says does not hold for the others
    kind: ClassVar[str] = KIND
    threads: ClassVar[int] = 2

    def outcome(self, run: Run) -> Outcome:
        """Look at one tenant; the steps are in the result."""
        try:
            tenant = self.tenants(run.payload["tenant"])
        except NotFound:
            return Skipped(f"tenant {run.payload['tenant']} is no longer configured")
        found = inspected(tenant, self.clients, self.prepare, self.dataset_of)
        result = {"steps": [_as_json(step) for step in found.steps], "mode": self.mode}
        # A step that failed needs a person; only waiting may help the others.
        if found.errors:
            return Failed(found.errors[0], result)
        return self._waiting(run, tenant, found, result) if found.waits_for else Done(result)

    def _waiting(self, run: Run, tenant: Tenant, found: Inspection, result: Mapping[str, Any]) -> Outcome:
        now = self.clock.now()
        age = now - run.created_at
        if age >= _LONGEST_WAIT:
            return Failed(_gave_up(tenant, found.waits_for), result)
        pause = max(min(age / 2, _LONGEST_PAUSE), _FIRST_PAUSE, found.at_least)
        return Snooze(now + pause, found.waits_for, asked_at=now)


def _gave_up(tenant: Tenant, waits_for: str) -> AmciError:
    hint = f"ask Amazon's support if this is new to you; `amci tenant check {tenant.tenant}` looks again"
    return RemoteError(f"given up after a day: {waits_for}", hint=hint)


def _as_json(step: Step) -> dict[str, Any]:
    shown: dict[str, Any] = {"step": step.step, "ok": step.ok, "says": step.says}
    return shown | ({"do": step.do} if step.do else {}) | ({"waits": True} if step.waits else {})
