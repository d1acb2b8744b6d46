from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from amci.kernel.config import parsed
from amci.kernel.errors import AuthError, NotFound, Refused, Throttled, Unavailable, Unroutable
from amci.kernel.run import Run, RunStatus
from amci.kernel.runs import RunStore
from amci.kernel.state import State
from amci.kernel.testing import FakeClock
from amci.kernel.worker import Worker
from amci.kernel.workspace import WorkspacePaths
from amci.tenants.model import Tenant
from amci.tenants.raw_folder import folder_of, prepare
from amci.tenants.registry import Registry
from amci.workflows.provisioning.provision import (
    ProvisionHandler,
    no_access,
    provision_run,
    queue_provisioning,
    status_of,
)

TERMS = "Terms and conditions must be accepted to continue"
SAMPLE = "acme/workflow=sample/schedule=adhoc/2026-01-01-sample.csv"
US, DE = "ATVPDKIKX0DER", "A1PA6795UKMFR9"


class Amc:
    """An AMC that says what it is told to; an error is raised."""

    def __init__(self) -> None:
        self.said: dict[str, Any] = {
            "accounts": [SimpleNamespace(account_id="ENTITY1", name="Acme", marketplace_id=US)],
            "instances": [SimpleNamespace(instance_id="amcother", name="Other")],
            "instance": "COMPLETED",
            "advertisers": ["first", "second"],
        }
        self.asked: list[str] = []

    def _say(self, what: str) -> Any:
        self.asked.append(what)
        said = self.said[what]
        if isinstance(said, Exception):
            raise said
        return said

    def accounts(self) -> Sequence[Any]:
        return self._say("accounts")

    def instances(self) -> Sequence[Any]:
        return self._say("instances")

    def instance(self, instance_id: str) -> Any:
        status = self._say("instance")
        return SimpleNamespace(instance_id=instance_id, name="Acme's", creation_status=status)

    def advertisers(self) -> Sequence[object]:
        return self._say("advertisers")


class Site:
    """A workspace with a tenant, a run store, and a worker that provisions."""

    def __init__(self, workspace: WorkspacePaths, state: State, clock: FakeClock) -> None:
        self.workspace = workspace
        self.clock = clock
        self.runs = RunStore(state, clock, chance=lambda: 1.0)
        self.registry = Registry(workspace.config)
        self.amc = Amc()
        self.dataset_of: Callable[[str], str] = lambda key: f"amc for {key}"

    def add(self, **more: Any) -> Tenant:
        fields = {"tenant": "acme", "instance_id": "amc1", "advertiser_id": "ENTITY1", "marketplace_id": US}
        tenant = parsed(Tenant, {**fields, **more}, "test")
        self.registry.add([tenant])
        return tenant

    def clients(self, _: Tenant) -> Amc:
        if isinstance(self.amc.said.get("login"), Exception):
            raise self.amc.said["login"]
        return self.amc

    @property
    def handler(self) -> ProvisionHandler:
        return ProvisionHandler(
            tenants=self.registry.get,
            clients=self.clients,
            prepare=lambda tenant: prepare(folder_of(tenant, self.workspace, "raw"), self.workspace),
            dataset_of=self.dataset_of,
            clock=self.clock,
        )

    def work(self, after: timedelta = timedelta()) -> None:
        """Do what is due `after` some time has passed; a worker would let the clock run on meanwhile."""
        self.clock.turn(after)
        while runs := self.runs.claim(("provision",), "w", timedelta(hours=1)):
            self.runs.finish(runs, self.handler.handle(runs))

    def check(self, tenant: Tenant, after: timedelta = timedelta(), again: str = "") -> Run:
        """The tenant's provision run as it then stands."""
        run = provision_run(tenant, again=again)
        self.runs.create([run])
        self.work(after)
        return next(r for r in self.runs.list() if r.idempotency_key == run.idempotency_key)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    clock = FakeClock()
    with State.open(tmp_path / "amci.db", clock) as state:
        yield Site(WorkspacePaths(tmp_path.resolve()), state, clock)


def steps(run: Run) -> Mapping[str, tuple[bool, str, str]]:
    assert run.result is not None
    return {s["step"]: (s["ok"], s["says"], s.get("do", "")) for s in run.result["steps"]}


def failures(run: Run) -> Mapping[str, tuple[str, str]]:
    return {step: (says, do) for step, (ok, says, do) in steps(run).items() if not ok}


def test_a_tenant_with_everything_is_ready(site: Site) -> None:
    run = site.check(site.add())
    assert run.status is RunStatus.SUCCEEDED
    assert steps(run) == {
        "credentials": (True, "Amazon takes the login 'default'", ""),
        "account": (True, f"ENTITY1 Acme in {US} (US)", ""),
        "instance": (True, "amc1 Acme's", ""),
        "advertisers": (True, "2 advertisers", ""),
        "folder": (True, "files land in raw/acme/", ""),
        "datasets": (
            True,
            f"results become tables of dataset amc for {SAMPLE}",
            "",
        ),
    }
    assert (site.workspace.raw / "acme").is_dir()
    assert status_of(site.runs, "acme") == "READY"


def test_a_worker_provisions(site: Site) -> None:
    site.runs.create([provision_run(site.add()), provision_run(site.add(tenant="other", instance_id=""))])
    worker = Worker(
        site.runs, [site.handler], site.clock,
        name="w", lease=timedelta(hours=1), on_finished=lambda _, __: None,
    )  # fmt: skip
    assert worker.drain(threading.Event(), timedelta()).succeeded == 2
    assert status_of(site.runs, "acme") == status_of(site.runs, "other") == "READY"


def test_a_tenant_without_an_instance_needs_no_amc(site: Site) -> None:
    run = site.check(site.add(instance_id=""))
    assert list(steps(run)) == ["folder", "datasets"]
    assert run.status is RunStatus.SUCCEEDED
    assert site.amc.asked == []


@pytest.mark.parametrize(
    ("what", "said", "step", "says", "do"),
    [
        (
            "login",
            AuthError("none stored"),
            "credentials",
            "'default' does not work",
            "amci auth login default",
        ),
        (
            "accounts",
            AuthError("revoked"),
            "credentials",
            "'default' does not work",
            "amci auth login default",
        ),
        ("accounts", AuthError(TERMS), "account", "AMC's terms have not been accepted", "AMC console"),
        ("accounts", Refused(401, TERMS), "account", "for account ENTITY1", "amci tenant check acme"),
        ("accounts", [], "account", "does not see account ENTITY1; it sees none", "advertiser_id"),
        (
            "accounts",
            [SimpleNamespace(account_id=f"ENTITY{n}", name="Fo", marketplace_id=DE) for n in range(2, 9)],
            "account",
            f"it sees {', '.join(f'ENTITY{n} Fo in {DE} (DE)' for n in range(2, 7))} and 2 more",
            "have this login added",
        ),
        (
            "accounts",
            [SimpleNamespace(account_id="ENTITY1", name="Acme", marketplace_id=DE)],
            "account",
            f"account ENTITY1 is in marketplace {DE} (DE), not in {US} (US)",
            f"amci tenant update acme marketplace_id={DE}",
        ),
        (
            "instance",
            Refused(403, "Unauthorized request"),
            "instance",
            f"AMC does not let this login see instance amc1 under account ENTITY1 in marketplace {US} (US)",
            "check instance_id, advertiser_id",
        ),
        (
            "instance",
            Refused(404, "not found"),
            "instance",
            "no instance amc1 in region NA: wrong id or wrong region; this login sees there: amcother Other",
            f"regions EU and FE were not tried, since marketplace {US} (US) is in NA",
        ),
        ("instance", "FAILED", "instance", "could not make instance amc1: its status is FAILED", "support"),
        ("instance", "ODD", "instance", "its status is ODD", "support"),
        ("advertisers", [], "advertisers", "amc1 has no advertisers", "add advertisers"),
    ],
)
def test_what_amazon_refuses_is_said_with_what_to_do(
    site: Site, what: str, said: Any, step: str, says: str, do: str
) -> None:
    site.amc.said[what] = said
    run = site.check(site.add())
    assert run.status is RunStatus.FAILED
    ((failed, (has_said, has_to_do)),) = failures(run).items()
    assert failed == step
    assert says in has_said
    assert do in has_to_do
    assert says in (run.reason or "")
    assert steps(run)["folder"][0]
    assert status_of(site.runs, "acme") == "FAILED"


def test_a_region_that_was_not_tried_can_be_where_the_marketplace_is_not_known(site: Site) -> None:
    site.amc.said["instance"] = Refused(404, "not found")
    site.amc.said["instances"] = Refused(403, "no")
    run = site.check(site.add(marketplace_id="A1C3SOZRARQ6R3", region="EU"))
    says, do = failures(run)["instance"]
    assert says == "no instance amc1 in region EU: wrong id or wrong region"
    assert "regions NA and FE were not tried: `amci tenant update acme region=NA` looks there" in do


def test_every_step_at_fault_is_said(site: Site) -> None:
    def nowhere(_: str) -> str:
        raise Unroutable("no dataset's pattern matches this key", hint="mend it")

    site.amc.said |= {"accounts": [], "advertisers": []}
    site.dataset_of = nowhere
    run = site.check(site.add(raw="/nowhere/at/all"))
    assert list(failures(run)) == ["account", "advertisers", "folder", "datasets"]


@pytest.mark.parametrize("status", ["REQUESTED", "SUBMITTED", "IN_PROGRESS"])
def test_an_instance_that_is_being_made_is_waited_for(site: Site, status: str) -> None:
    site.amc.said["instance"] = status
    tenant = site.add()
    run = site.check(tenant)
    assert run.status is RunStatus.PENDING
    assert run.reason == f"AMC is still making instance amc1 ({status})"
    assert status_of(site.runs, "acme") == "PROVISIONING"
    site.amc.said["instance"] = "COMPLETED"
    assert site.check(tenant, timedelta(seconds=59)).status is RunStatus.PENDING
    assert site.check(tenant, timedelta(seconds=1)).status is RunStatus.SUCCEEDED


def test_the_pauses_grow_and_end_after_a_day(site: Site) -> None:
    site.amc.said["instance"] = "IN_PROGRESS"
    tenant = site.add()
    run, pauses = site.check(tenant), []
    while run.status is RunStatus.PENDING:
        pauses.append(run.run_after - site.clock.now())
        run = site.check(tenant, pauses[-1])
    minutes = [pause.total_seconds() / 60 for pause in pauses]
    assert minutes[:5] == [1, 1, 1, 1.5, 2.25]
    assert minutes == sorted(minutes)
    assert minutes[-1] == 30
    assert run.status is RunStatus.FAILED
    assert "given up after a day: AMC is still making instance amc1 (IN_PROGRESS)" in (run.reason or "")
    assert timedelta(days=1) <= run.changed_at - run.created_at <= timedelta(days=1, minutes=30)
    assert failures(run).keys() == {"instance"}


@pytest.mark.parametrize("error", [Unavailable("no connection"), Throttled("slow down")])
@pytest.mark.parametrize("what", ["accounts", "instance", "advertisers"])
def test_what_passes_by_itself_is_waited_for(site: Site, error: Exception, what: str) -> None:
    whole = site.amc.said[what]
    site.amc.said[what] = error
    tenant = site.add()
    run = site.check(tenant)
    assert (run.status, run.reason) == (RunStatus.PENDING, str(error))
    assert run.attempts == 0
    site.amc.said[what] = whole
    assert site.check(tenant, timedelta(minutes=1)).status is RunStatus.SUCCEEDED


def test_amazon_is_not_asked_again_before_it_wants_to_be(site: Site) -> None:
    site.amc.said["accounts"] = Throttled("slow down", retry_after=timedelta(hours=2))
    run = site.check(site.add())
    assert run.run_after - site.clock.now() == timedelta(hours=2)


def test_what_a_person_has_to_mend_is_not_hidden_by_what_is_waited_for(site: Site) -> None:
    site.amc.said["instance"] = "REQUESTED"
    run = site.check(site.add(raw="/nowhere/at/all"))
    assert run.status is RunStatus.FAILED
    assert failures(run).keys() == {"instance", "folder"}


def test_a_disk_that_refuses_is_tried_again(site: Site) -> None:
    tenant = site.add()
    site.workspace.raw.write_text("a file where the folder should be", encoding="utf-8")
    run = site.check(tenant)
    assert (run.status, run.attempts) == (RunStatus.PENDING, 1)
    site.workspace.raw.unlink()
    assert site.check(tenant, timedelta(minutes=1)).status is RunStatus.SUCCEEDED


def test_a_tenant_removed_meanwhile_is_skipped(site: Site) -> None:
    tenant = site.add()
    site.registry.remove("acme")
    with pytest.raises(NotFound):
        site.registry.get("acme")
    run = site.check(tenant)
    assert (run.status, run.reason) == (RunStatus.SKIPPED, "tenant acme is no longer configured")
    assert status_of(site.runs, "acme") == "NEW"


def test_a_definition_is_provisioned_once_and_again_when_it_changes(site: Site) -> None:
    first = site.add()
    key = provision_run(first).idempotency_key
    assert provision_run(site.add(tags=["pets"], slots=3)).idempotency_key == key
    assert provision_run(site.add(auth_id="agency")).idempotency_key != key
    assert provision_run(first, again="x").idempotency_key == f"{key}#x"


def test_a_run_is_put_in_line_once_or_anew(site: Site) -> None:
    tenant = site.add()
    key = queue_provisioning(site.runs, tenant, again=True)
    assert queue_provisioning(site.runs, tenant, again=False) == key
    assert len(site.runs.list()) == 1
    assert queue_provisioning(site.runs, tenant, again=True) != key
    assert len(site.runs.list()) == 2


def test_the_status_is_that_of_the_newest_run(site: Site) -> None:
    tenant = site.add()
    assert status_of(site.runs, "acme") == "NEW"
    site.runs.create([provision_run(tenant)])
    assert status_of(site.runs, "acme") == "PENDING"
    site.work()
    assert status_of(site.runs, "acme") == "READY"
    site.amc.said["instance"] = "FAILED"
    site.check(tenant, again="1")
    assert status_of(site.runs, "acme") == "FAILED"
    key = queue_provisioning(site.runs, tenant, again=True)
    (run,) = [run for run in site.runs.list() if run.idempotency_key == key]
    site.runs.cancel([run.run_id])
    assert status_of(site.runs, "acme") == "FAILED"


def refused(site: Site, tenant: Tenant, mode: str = "live", logged_in_after: timedelta | None = None) -> str:
    at = None if logged_in_after is None else site.clock.now() + logged_in_after
    found = no_access(site.runs, tenant, mode, lambda: at)
    return f"{found}; {found.hint}" if found else ""


def test_a_tenant_whose_check_found_no_access_is_not_executed_until_that_is_repaired(site: Site) -> None:
    tenant = site.add()
    assert refused(site, tenant) == ""  # never checked
    site.amc.said["instance"] = Refused(403, "no")
    site.check(tenant)
    said = refused(site, tenant)
    assert said.startswith(
        "not asked of AMC: the check of tenant 'acme' failed: AMC does not let this login see"
    )
    assert "`amci tenant check acme`" in said
    # The sandbox says nothing about Amazon, a login that works is not at fault, and other ids are other ids.
    assert refused(site, tenant, "sandbox") == refused(site, tenant, "replay") == ""
    assert refused(site, tenant, logged_in_after=timedelta(hours=1)) == said
    assert refused(site, tenant.model_copy(update={"instance_id": "amc2"})) == ""
    site.amc.said["instance"] = "COMPLETED"
    site.check(tenant, again="repaired")
    assert refused(site, tenant) == ""


def test_a_login_that_was_changed_since_is_tried(site: Site) -> None:
    tenant = site.add()
    site.amc.said["accounts"] = AuthError("refused")
    site.check(tenant)
    assert "login" in refused(site, tenant)
    assert refused(site, tenant, logged_in_after=timedelta(hours=-1)) != ""
    assert refused(site, tenant, logged_in_after=timedelta(hours=1)) == ""


@pytest.mark.parametrize(
    ("what", "says"), [("accounts", Unavailable("down")), ("advertisers", []), ("folder", None)]
)
def test_what_is_no_refusal_of_amc_keeps_no_tenant_from_executing(site: Site, what: str, says: Any) -> None:
    tenant = site.add()
    if what == "folder":
        site.dataset_of = unroutable
    site.amc.said[what] = says
    site.check(tenant)
    site.work(timedelta(days=2))
    assert status_of(site.runs, "acme") == "FAILED"
    assert refused(site, tenant) == ""


def unroutable(_key: str) -> str:
    raise Unroutable("no dataset")
