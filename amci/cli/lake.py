"""`amci lake …`: parse, call, print."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from amci.cli.context import Context, DryRun, Limit, RowsOf, command
from amci.cli.run_progress import INTERRUPTED, exit_if_failed, finish_runs, report_drain, report_work
from amci.kernel.clock import duration, timestamp
from amci.kernel.errors import AmciError, NotFound, UsageError, WorkspaceBusy
from amci.kernel.run import NewRun
from amci.kernel.signals import stopping
from amci.lake.datasets.library import dataset_named, definition, differences
from amci.lake.landing.copy_in import copy_in
from amci.lake.landing.object_store import ObjectStore
from amci.lake.loading.forgetting import forget, named
from amci.lake.query import inspect
from amci.lake.query.unknown_columns import unknown_columns
from amci.lake.upkeep.tasks import UPKEEP

lake_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@command(
    lake_app,
    "ingest",
    epilog="Example: amci lake ingest result.csv --under acme/workflow=reach/schedule=adhoc",
)
def ingest(
    ctx: Context,
    paths: Annotated[list[Path], typer.Argument(help="Files, or folders laid out as raw/ is.")],
    under: Annotated[str, typer.Option(help="Folder of raw/ they belong in.")] = "",
    link: Annotated[
        bool, typer.Option("--link", help="Link instead of copying, where the disk can.")
    ] = False,
) -> None:
    """Bring files into raw/ and process them."""
    raw = ctx.workspace.home / ctx.project().settings.roots[0].path
    keys = copy_in(paths, raw, under, link=link)
    ctx.out.text(f"{len(keys)} files are in raw/")
    try:
        report_drain(ctx)
    except WorkspaceBusy as busy:
        ctx.out.note(f"{busy}; it takes them from here")


@command(lake_app, "tables", epilog="Example: amci lake tables")
def tables(ctx: Context, tenant: RowsOf = None) -> None:
    """Tables with their rows, objects and size."""
    with ctx.query_session() as session:
        ctx.out.rows(
            inspect.tables(session, tenant),
            ["table", "rows", "objects", "tenants", "files", "bytes", "loaded_at"],
        )


@command(lake_app, "show", epilog="Example: amci lake show adtech_amc.acme_reach_daily")
def show_table(
    ctx: Context, table: Annotated[str, typer.Argument(help="schema.table, or the table's name.")]
) -> None:
    """A table's columns, partitions and newest objects."""
    with ctx.query_session() as session, ctx.state() as state:
        found = inspect.table(session, state, table)
    if ctx.out.as_json:
        ctx.out.record(found)
        return
    ctx.out.text(
        f"{found['table']}: {found['rows']:,} rows, partitioned by {', '.join(found['partition_by']) or 'nothing'}"
    )
    is_told = any("header" in column for column in found["columns"])
    ctx.out.rows(found["columns"], ["column", "type", "nulls", *(["header"] if is_told else [])])
    ctx.out.text("")
    told = [name for name in ("removed_at", "also") if any(row[name] for row in found["objects"])]
    ctx.out.rows(found["objects"], ["object_id", "version", "rows", *told, "key"])
    if found["doubts"]:
        ctx.out.text("")
        ctx.out.rows(found["doubts"], ["key", "kind", "column_name", "says"])


@command(lake_app, "partitions", epilog="Example: amci lake partitions adtech_amc.acme_reach_daily")
def partitions(
    ctx: Context, table: Annotated[str, typer.Argument(help="schema.table, or the table's name.")]
) -> None:
    """A table's Hive partitions with their rows."""
    with ctx.query_session() as session:
        columns, rows = inspect.partitions(session, table)
    ctx.out.rows(rows, [*columns, "rows", "objects"], empty="the table is not partitioned")


@command(lake_app, "snapshots", epilog="Example: amci lake snapshots --limit 5")
def snapshots(ctx: Context, limit: Limit = 20) -> None:
    """The lake's history: every commit can be queried with --as-of."""
    with ctx.query_session() as session:
        ctx.out.rows(inspect.snapshots(session, limit), ["snapshot", "at", "changes"])


@command(lake_app, "files", epilog="Example: amci lake files --limit 20")
def files(ctx: Context, tenant: RowsOf = None, limit: Limit = 50) -> None:
    """What became of each raw file, and why."""
    with ctx.query_session() as session, ctx.state() as state:
        rows = inspect.files(session, state, tenant=tenant, limit=limit)
    ctx.out.rows(rows, ["outcome", "rows", "reason", "key"], empty="no files")


@command(lake_app, "history", epilog="Example: amci lake history 2026-11-01-reach-ver1.csv")
def history(
    ctx: Context, name: Annotated[str, typer.Argument(help="Object id, key, or the end of a key.")]
) -> None:
    """An object's versions, runs and tables."""
    with ctx.state() as state:
        found = inspect.history(ObjectStore(state, ctx.clock), state, name)
    if ctx.out.as_json:
        ctx.out.record({"objects": found})
        return
    for entry in found:
        ctx.out.text(
            f"object {entry['object_id']}  {entry['root']}/{entry['key']}  dataset {entry['dataset'] or 'none'}"
        )
        for what, since in (("its raw file is gone", "removed_at"), ("forgotten", "forgotten_at")):
            if entry[since]:
                ctx.out.text(f"{what} since {entry[since]}")
        also = ["same_as"] if any(version["same_as"] for version in entry["versions"]) else []
        ctx.out.rows(entry["versions"], ["version", "seen_at", "size", "loaded_at", *also, "sha256"])
        ctx.out.rows(entry["runs"], ["run_id", "kind", "status", "changed_at", "reason"], empty="no runs")
        if entry["doubts"]:
            ctx.out.rows(entry["doubts"], ["version", "kind", "says", "resolved_at"])


@command(lake_app, "quarantine", epilog="Example: amci lake quarantine --all")
def quarantine(
    ctx: Context, every: Annotated[bool, typer.Option("--all", help="Also what was resolved since.")] = False
) -> None:
    """What could not be used, why, and what to do."""
    with ctx.state() as state:
        rows = [dict(row) for row in ObjectStore(state, ctx.clock).quarantined(is_open=not every)]
    ctx.out.rows(
        rows,
        ["object_id", "version", "stage", "key", "line", "rows", "reason", "hint"],
        empty="nothing is in quarantine",
    )


@command(
    lake_app,
    "doubts",
    epilog="Example: amci lake doubts, or: amci lake doubts --accept adtech/shop/orders/may.csv",
)
def doubts(
    ctx: Context,
    accept: Annotated[
        list[str] | None,
        typer.Option(
            "--accept", help="Object id, key, or the end of a key of a file that is right after all."
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Also what was accepted or replaced since.")] = False,
) -> None:
    """What may be wrong with files, or take it for right.

    What a dataset refused for its doubts (`doubt: refuse`) is loaded once they are accepted.
    """
    if accept:
        with ctx.engine() as engine:
            report_work(ctx, engine, accepted=engine.accept(accept))
        return
    with ctx.state() as state:
        rows = [dict(row) for row in ObjectStore(state, ctx.clock).doubts.list(is_open=not every)]
    ctx.out.rows(
        rows,
        ["object_id", "version", "kind", "key", "line", "says", "hint"],
        empty="nothing is doubtful",
    )


@command(lake_app, "transforms", epilog="Example: amci lake transforms")
def transforms(ctx: Context) -> None:
    """Transforms with their origin and source hash, and the datasets that use them."""
    project = ctx.project()
    used = {name: [] for name in project.transforms}  # type: dict[str, list[str]]
    for dataset in project.datasets.values():
        for name in (dataset.light, dataset.heavy):
            if name:
                used[name].append(dataset.dataset)
    rows = [
        {
            "transform": t.name,
            "origin": t.origin,
            "source_hash": t.source_hash,
            "datasets": ", ".join(used[name]),
        }
        for name, t in sorted(project.transforms.items())
    ]
    ctx.out.rows(rows, ["transform", "origin", "source_hash", "datasets"])


@command(
    lake_app,
    "datasets",
    epilog="Example: amci lake datasets, or: amci lake datasets amc",
)
def datasets(
    ctx: Context, name: Annotated[str | None, typer.Argument(help="Show this one's whole definition.")] = None
) -> None:
    """Datasets with where each is defined; or one whole, as a file for config/datasets/."""
    project = ctx.project()
    if name is not None:
        dataset = dataset_named(project.datasets, name)
        document, source = definition(dataset), project.dataset_sources[name]
        changed = differences(dataset, source.built_in) if source.built_in else []
        unknown: list[str] = []
        if not source.comes_with_amci:
            # A lake that is empty, or cannot be asked, has nothing to say.
            with suppress(AmciError), ctx.query_session() as lake:
                found = unknown_columns(lake, dataset, ctx.workspace.pre_stage, but=source.built_in)
                unknown = [each.says for each in found]
        text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100).rstrip().split("\n")
        remarks = [f"# {source.origin}", *(f"# {each}" for each in (*changed, *unknown))]
        shown = {**document, "origin": source.origin, "differs": changed, "unknown_columns": unknown}
        ctx.out.record(shown, [*remarks, *text])
        return
    rows = [
        {
            "dataset": name,
            "schema": d.schema_name,
            "pattern": d.pattern,
            "origin": project.dataset_sources[name].origin,
        }
        for name, d in sorted(project.datasets.items())
    ]
    ctx.out.rows(rows, ["dataset", "schema", "pattern", "origin"])


@command(lake_app, "reprocess", epilog="Example: amci lake reprocess --changed")
def reprocess(
    ctx: Context,
    keys: Annotated[
        list[str] | None, typer.Argument(help="Only these files, by object id, key, or the end of a key.")
    ] = None,
    changed: Annotated[
        bool, typer.Option("--changed", help="Only objects loaded by other rules than today's.")
    ] = False,
    dataset: Annotated[str | None, typer.Option(help="Only this dataset's.")] = None,
    since: Annotated[str | None, typer.Option(help="Only objects seen since (ISO 8601).")] = None,
    dry_run: DryRun = False,
) -> None:
    """Route what no dataset took, then load objects again; those that were forgotten only if they are named."""
    with ctx.engine() as engine:
        again = engine.load_again(
            changed_only=changed, dataset=dataset, since=since, names=keys or (), dry_run=dry_run
        )
        if dry_run:
            ctx.out.record(again)
        else:
            report_work(ctx, engine, **again)


@command(
    lake_app,
    "forget",
    epilog="Example: amci lake forget acme/reach.csv --dry-run, or: amci lake forget --gone --dataset sp_report",
)
def forget_files(
    ctx: Context,
    keys: Annotated[
        list[str] | None, typer.Argument(help="Files, by object id, key, or the end of a key.")
    ] = None,
    gone: Annotated[bool, typer.Option("--gone", help="All files that are not in raw/ any more.")] = False,
    dataset: Annotated[str | None, typer.Option(help="With --gone: only this dataset's.")] = None,
    dry_run: DryRun = False,
) -> None:
    """Take the rows of files out of the lake.

    A file that is still in raw/ is not loaded again until it changes, or `amci lake reprocess` names it. If another
    file has the same rows and stood by, its rows come instead. Older states keep the rows (`--as-of`) until `amci lake
    expire`, and pre-stage does until `amci lake vacuum`.
    """
    if bool(keys) == gone or (dataset and not gone):
        raise UsageError("which files?", hint="name them, or say --gone, which --dataset may narrow")
    if dataset and dataset not in (known := ctx.project().datasets):
        raise NotFound(f"no dataset '{dataset}'", hint=f"there are {', '.join(sorted(known))}")
    with ctx.session() as session:
        objects = ObjectStore(session.state, ctx.clock)
        chosen = objects.gone(dataset) if gone else named(objects, keys or ())
        with ctx.query_session() as lake:
            found = inspect.rows_of(lake, session.state, [row["object_id"] for row in chosen])
        if dry_run:
            columns = ["object_id", "version", "rows", "table", "taken_over_by", "key"]
            ctx.out.rows(found, columns, empty="they have no rows in the lake")
            return
        queued = forget(session.state, session.runs, ctx.clock, chosen)
        exit_if_failed(finish_runs(ctx, session, queued, wait=True))
    rows = sum(row["rows"] for row in found if not row["taken_over_by"])
    report = {"files": len(chosen), "rows": rows, "tables": len({row["table"] for row in found})}
    ctx.out.record(report, [f"{len(chosen)} files are forgotten, {rows:,} rows are out of the lake"])


@command(lake_app, "compact", epilog="Example: amci lake compact")
def compact(
    ctx: Context, table: Annotated[str | None, typer.Argument(help="Only this table.")] = None
) -> None:
    """Merge small files and rewrite files with deleted rows."""
    _maintain(ctx, lambda m: m.compact(table))


@command(lake_app, "expire", epilog="Example: amci lake expire --older-than 30d")
def expire(
    ctx: Context,
    older_than: Annotated[str, typer.Option(help="Age of snapshots to forget, such as 30d.")] = "30d",
    dry_run: DryRun = False,
) -> None:
    """Forget old snapshots; `vacuum` then frees their files."""
    age = duration(older_than)
    _maintain(ctx, lambda m: m.expire(age, dry_run=dry_run))


@command(lake_app, "rewrite", epilog="Example: amci lake rewrite --dry-run")
def rewrite(
    ctx: Context,
    table: Annotated[str | None, typer.Argument(help="Only this table.")] = None,
    dry_run: DryRun = False,
) -> None:
    """Rewrite tables whose files are not partitioned as their datasets say now."""
    datasets = ctx.project().datasets.values()
    _maintain(ctx, lambda m: m.rewrite(table, datasets, dry_run=dry_run))


@command(lake_app, "drop", epilog="Example: amci lake drop adtech_orders.orders --dry-run")
def drop(
    ctx: Context,
    table: Annotated[str, typer.Argument(help="schema.table, or the table's name.")],
    dry_run: DryRun = False,
) -> None:
    """Take out a table that no file has rows in any more.

    It is left behind when a dataset gets another schema or `table`, and its rows have moved. One with rows stays. Older
    states keep it (`--as-of`) until `amci lake expire`.
    """
    _maintain(ctx, lambda m: m.drop(table, dry_run=dry_run))


@command(lake_app, "vacuum", epilog="Example: amci lake vacuum --dry-run")
def vacuum(ctx: Context, dry_run: DryRun = False) -> None:
    """Delete files nothing refers to any more, in post-stage and pre-stage."""
    _maintain(ctx, lambda m: m.vacuum(dry_run=dry_run))


@command(lake_app, "export", epilog="Example: amci lake export, or: amci lake export --parquet /tmp/lake")
def export(
    ctx: Context,
    parquet: Annotated[
        Path | None, typer.Option(help="Write Parquet files into this new folder instead.")
    ] = None,
) -> None:
    """Publish catalog.duckdb, plain views for tools that know no DuckLake; or copy all tables as Parquet."""
    _maintain(ctx, lambda m: m.export_parquet(parquet) if parquet else m.publish())


@command(lake_app, "check", epilog="Example: amci lake check --deep, or: amci lake check --repair")
def check(
    ctx: Context,
    deep: Annotated[bool, typer.Option("--deep", help="Compare every file with its checksum.")] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Take out damaged files and load their rows again.")
    ] = False,
    contents: Annotated[
        bool, typer.Option("--contents", help="Compare raw files with what was loaded of them, instead.")
    ] = False,
) -> None:
    """Compare the catalog with the files: missing, altered, or extra ones.

    --repair looks as --deep does, and loads what was in damaged files again, from pre-stage or raw. The files stay on
    the disk. --contents reads every raw file, and loads those that were replaced by others of the same size and time.
    Beside a running `amci up`, that one does either.
    """
    if contents and (deep or repair):
        raise UsageError("--contents is about raw files", hint="run it without --deep and --repair")
    if contents:
        _check_contents(ctx)
        return
    if repair:
        _repair(ctx)
        return
    from amci.lake.upkeep.check import examine, examine_pre_stage

    with ctx.query_session() as session:
        found = examine(session, ctx.workspace, deep=deep)
    if ctx.workspace.state.exists():
        with ctx.state() as state:
            found += examine_pre_stage(state, ctx.workspace, deep=deep)
    ctx.out.rows(found, ["problem", "file", "says"], empty="catalog and files agree")
    if found:
        raise typer.Exit(1)


def _done_elsewhere(ctx: Context, task: str) -> dict[str, Any]:
    """The report of an upkeep task that the process at work has done; exits if it failed."""
    key = f"upkeep:{task}@{timestamp(ctx.clock.now())}"
    with ctx.session() as session:
        session.runs.create([NewRun(idempotency_key=key, kind=UPKEEP, payload={"do": task})])
        (run,) = finish_runs(ctx, session, [key], wait=True)
    exit_if_failed([run])
    return dict(run.result or {})


def _repair(ctx: Context) -> None:
    """Repair the lake here, or have the process do it that is at work; exit code 1 if rows are lost."""
    try:
        with ctx.engine() as engine:
            repaired = engine.repair.run()
            report = repaired.as_report()
            _show_repaired(ctx, report)
            report_work(ctx, engine, **(report if ctx.out.as_json else {}))
            is_whole = not repaired.has_losses
    except WorkspaceBusy:
        report = _done_elsewhere(ctx, "repair")
        _show_repaired(ctx, report)
        ctx.out.record(report, ["the amci at work loads them"])
        is_whole = not any(each["fate"] == "lost" for each in report["objects"])
    if not is_whole:
        raise typer.Exit(1)


def _check_contents(ctx: Context) -> None:
    """Compare raw files with what was loaded of them, here or by the process that is at work; exit code 1 if unread."""
    try:
        with ctx.engine() as engine:
            with ctx.out.progress("reading raw files"), stopping() as stop:
                engine.ingest.look_everywhere()
                report = engine.contents.check(stop, before=ctx.clock.now()).as_report()
                if stop.is_set():
                    raise typer.Exit(INTERRUPTED)
            _show_contents(ctx, report)
            report_work(ctx, engine, **(report if ctx.out.as_json else {}))
    except WorkspaceBusy:
        report = _done_elsewhere(ctx, "contents")
        _show_contents(ctx, report)
        ctx.out.record(report, ["the amci at work loads what was replaced"])
    if report["unreadable"]:
        raise typer.Exit(1)


def _show_contents(ctx: Context, report: Mapping[str, Any]) -> None:
    if not ctx.out.as_json:
        found = [{"problem": what, "key": key} for what in ("replaced", "unreadable") for key in report[what]]
        ctx.out.rows(
            found, ["problem", "key"], empty=f"{report['files']:,} raw files hold what was loaded of them"
        )


def _show_repaired(ctx: Context, report: Mapping[str, Any]) -> None:
    if not ctx.out.as_json:
        ctx.out.rows(report["files"], ["problem", "file", "done"], empty="catalog and files agree")
        if report["objects"]:
            ctx.out.rows(report["objects"], ["key", "version", "rows", "fate"])


def _maintain(ctx: Context, do: Any) -> None:
    from amci.lake.upkeep.maintenance import Maintenance

    with (
        ctx.engine() as engine,
        ctx.out.progress("maintaining") as tell,
        engine.catalog.exclusive("maintain the lake"),
    ):
        report = do(Maintenance(engine.workspace, engine.catalog, engine.state, engine.clock, tell))
    ctx.out.record(report)
