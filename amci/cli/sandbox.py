"""`amci sandbox …`: AMC on a port of this machine."""

from __future__ import annotations

import gc
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from amci.app.amc_connection import sandbox_options
from amci.cli.context import Context, command
from amci.kernel.clock import duration
from amci.kernel.errors import NoWorkspace
from amci.kernel.signals import stopping
from amci.sandbox.faults import fault_from
from amci.sandbox.options import SandboxInstance, SandboxOptions
from amci.sandbox.rest import Server
from amci.sandbox.service import Sandbox

sandbox_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@command(sandbox_app, "serve", epilog="Example: amci sandbox serve --pending 5s --running 20s")
def serve(
    ctx: Context,
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes any that is free.")] = 8790,
    directory: Annotated[
        Path | None, typer.Option(help="Where it remembers; else the workspace's sandbox/, else nowhere.")
    ] = None,
    pending: Annotated[str, typer.Option(help="How long executions wait, even where a slot is free.")] = "5s",
    running: Annotated[str, typer.Option(help="How long executions run at least.")] = "20s",
    bucket: Annotated[
        Path | None, typer.Option(help="Also deliver results here, as into AMC's bucket.")
    ] = None,
    scale: Annotated[
        float | None, typer.Option(help="Size of its world: 1 is about 100,000 people; else the workspace's.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of its events; else the workspace's.")] = None,
    fault: Annotated[
        list[str] | None, typer.Option(help="What goes wrong, such as throttle,path=*/workflows,times=3.")
    ] = None,
) -> None:
    """Answer as AMC does, over HTTP, until interrupted."""
    faults = [fault_from(text) for text in fault or []]
    with ExitStack() as closing, stopping() as stop:
        given = {"scale": scale, "seed": seed, "bucket": bucket}
        spans = {"pending": duration(pending), "running": duration(running)}
        sandbox, options = _open_sandbox(ctx, directory, closing, {**given, **spans})
        for each in faults:
            sandbox.faults.add(each)
        _serve(ctx, sandbox, options.instances, host, port, stop)


def _open_sandbox(
    ctx: Context, directory: Path | None, closing: ExitStack, given: Mapping[str, Any]
) -> tuple[Sandbox, SandboxOptions]:
    """The sandbox that is meant, with the instances of the workspace's tenants where there is a workspace."""
    try:
        options = sandbox_options(ctx.project())
        place = directory or ctx.workspace.sandbox
    except NoWorkspace:
        options = SandboxOptions()
        place = directory or Path(closing.enter_context(TemporaryDirectory(prefix="amci-sandbox-")))
    options = replace(options, **{name: value for name, value in given.items() if value is not None})
    sandbox = Sandbox(place, ctx.clock, options)
    closing.callback(sandbox.close)
    return sandbox, options


def _serve(
    ctx: Context,
    sandbox: Sandbox,
    instances: tuple[SandboxInstance, ...],
    host: str,
    port: int,
    stop: threading.Event,
) -> None:
    """Serve until `stop` is set, and advance the simulation even if no request comes."""
    # Trees of queries are full of circles, so the collector runs often; it need not look at all that stays.
    gc.freeze()
    with Server(sandbox, host, port) as server:
        about = _about(server.url, instances)
        ctx.out.record(about, [f"export {name}={value}" for name, value in about["environment"].items()])
        ctx.out.stdout.flush()
        ctx.out.note(f"AMC answers on {server.url}; stop with Ctrl-C")
        while not stop.wait(1):
            sandbox.advance()


def _about(url: str, instances: tuple[SandboxInstance, ...]) -> dict[str, Any]:
    first = instances[0]
    environment = {
        "AMC_BASE_URL": url,
        "AMC_TOKEN_URL": f"{url}/auth/o2/token",
        "AMC_INSTANCE_ID": first.instance_id,
        "AMC_ADVERTISER_ID": first.entity_id,
        "AMC_MARKETPLACE_ID": first.marketplace_id,
        "AMC_CLIENT_ID": "any",
        "AMC_CLIENT_SECRET": "any",
        "AMC_REFRESH_TOKEN": "any",
    }
    listed = [
        {"instance_id": i.instance_id, "advertiser_id": i.entity_id, "marketplace_id": i.marketplace_id}
        for i in instances
    ]
    return {"url": url, "environment": environment, "instances": listed}
