"""How a workspace reaches AMC: live, recording, from a recording, or the sandbox."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from threading import Event

from amci.app.project import Project, amc_settings
from amci.kernel.clock import Clock
from amci.kernel.workspace import WorkspacePaths
from amci.sandbox.options import DEFAULT_INSTANCE, BudgetOptions, SandboxInstance, SandboxOptions
from amci.sandbox.service import Sandbox
from amci.tenants.credentials import Credential, CredentialSource, CredentialStore, MemoryCredentials
from amci.workflows.amazon.circuit_breaker import Circuit
from amci.workflows.amazon.fixture_transport import RecordTransport, ReplayTransport
from amci.workflows.amazon.fixtures import scenario_path
from amci.workflows.amazon.scrub import Scrubber, client_ids, known_ids
from amci.workflows.amazon.transport import InProcess, Transport, network
from amci.workflows.amc.connections import Connections

#: What the sandbox and a recording are told; neither asks whether it is true.
_PRETENDED = Credential(client_id="sandbox", client_secret="sandbox", refresh_token="sandbox")  # noqa: S106


def amc_connection(
    workspace: WorkspacePaths,
    project: Project,
    clock: Clock,
    store: Callable[[], CredentialStore],
    circuits: Iterable[Circuit],
    on_circuit: Callable[[Circuit], None],
    closing: ExitStack,
) -> Connections:
    """Connections to AMC as the workspace's mode says; what they need is closed with `closing`."""
    settings = amc_settings(project)
    source: CredentialSource
    transport: Transport | None = None
    base_url = None
    match settings.mode:
        case "live":
            source = store()
        case "record" | "replay":
            fixture = scenario_path(workspace.fixtures, settings.scenario)
            tenants = project.tenants.values()
            if settings.mode == "replay":
                scrubber = Scrubber(known_ids(tenants))
                source, transport = _pretended(project), ReplayTransport(fixture, scrubber, settings.matching)
            else:
                # A recording may also be made of a sandbox that is served, by people who have no credentials.
                base_url = settings.sandbox.url or None
                source = _pretended(project) if base_url else store()
                clients = None if base_url else client_ids(tenants, source)
                scrubber = Scrubber(known_ids(tenants, clients))
                transport = RecordTransport(network(), fixture, scrubber, clock)
        case "sandbox":
            source, base_url = _pretended(project), settings.sandbox.url or None
            transport = None if base_url else _in_process(workspace, project, clock, closing)
    connections = Connections(
        settings,
        source,
        clock,
        transport=transport,
        base_url=base_url,
        circuits=circuits,
        on_circuit=on_circuit,
        pause=lambda pause: clock.wait(Event(), pause),
    )
    closing.callback(connections.close)
    return connections


def _pretended(project: Project) -> MemoryCredentials:
    return MemoryCredentials({tenant.auth_id: _PRETENDED for tenant in project.tenants.values()})


def _in_process(workspace: WorkspacePaths, project: Project, clock: Clock, closing: ExitStack) -> Transport:
    sandbox = Sandbox(workspace.sandbox, clock, sandbox_options(project))
    closing.callback(sandbox.close)
    return InProcess(sandbox.respond)


def sandbox_options(project: Project) -> SandboxOptions:
    """A sandbox that knows the instances of this workspace's tenants."""
    settings = project.settings.amc.sandbox
    instances = tuple(
        SandboxInstance(
            instance_id=tenant.instance_id,
            entity_id=tenant.advertiser_id,
            marketplace_id=tenant.marketplace_id,
            name=tenant.name or tenant.tenant,
        )
        for tenant in project.tenants.values()
        if tenant.instance_id
    )
    return SandboxOptions(
        instances=instances or (DEFAULT_INSTANCE,),
        pending=settings.pending,
        running=settings.running,
        seed=settings.seed,
        scale=settings.scale,
        days=settings.days,
        audience_minimum=settings.audience_minimum,
        budget=BudgetOptions(most=settings.budget),
    )
