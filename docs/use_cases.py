"""Runs the seventeen use cases on the sandbox and puts SQL, results and charts in their pages; `--check` compares."""

from __future__ import annotations

import csv
import difflib
import importlib.util
import io
import json
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from amci.kernel.errors import ConfigError, Problem
from amci.kernel.testing import FakeClock
from amci.sandbox.options import SandboxInstance, SandboxOptions
from amci.sandbox.service import Sandbox
from amci.tenants.model import Tenant
from amci.workflows.definitions import library
from amci.workflows.definitions.definition import Workflow, amc_definition

ROOT = Path(__file__).parent.parent
PAGES = Path(__file__).parent / "use-cases"
#: The world of all pages: everybody who runs this has the same people and the same events.
SEED, SCALE, DAYS, LAST_DAY = 1, 0.05, 120, date(2026, 6, 30)
_NOW = datetime(2026, 7, 3, 6, tzinfo=UTC)
_HOST = "https://advertising-api.amazon.com"
_TENANT = Tenant(tenant="acme", instance_id="amcusecases")
_INSTANCE = SandboxInstance(
    instance_id="amcusecases",
    entity_id="ENTITYUSECASES",
    marketplace_id="ATVPDKIKX0DER",
    name="use cases",
    instance_type="SANDBOX",
)
_BLOCK = re.compile(r"(<!-- made: (?P<name>\w+) -->\n).*?(<!-- made end -->)", re.DOTALL)
_SHOWN = 10  # rows of a table


@dataclass(frozen=True, slots=True, kw_only=True)
class UseCase:
    """How a page asks."""

    slug: str
    order: str  #: the column its table is sorted by, the most first; `-` in front: the least first
    start: str = "2026-06-01"
    end: str = "2026-07-01"
    values: Mapping[str, Any] = field(default_factory=dict)


USE_CASES = (
    UseCase(slug="path_to_conversion", order="users"),
    UseCase(slug="reach_and_frequency", order="-frequency", values={"ad_products": ["dsp"], "most": 20}),
    UseCase(
        slug="exposure_overlap",
        order="users",
        values={"channels": ["streaming_tv", "display", "sponsored_products"]},
    ),
    UseCase(slug="new_to_brand", order="purchases"),
    UseCase(slug="time_to_conversion", order="-time_to_purchase"),
    UseCase(slug="geo_reach_and_sales", order="impressions"),
    UseCase(slug="device_mix", order="users"),
    UseCase(slug="segment_performance", order="purchase_index"),
    UseCase(slug="custom_attribution", order="last_touch_sales", start="2026-04-01"),
    UseCase(slug="incremental_reach", order="users"),
    UseCase(slug="daypart", order="sales", start="2026-06-01", end="2026-06-29"),
    UseCase(slug="cross_purchase", order="buyers_of_both", start="2026-04-01"),
    UseCase(slug="search_terms", order="clicks", start="2026-04-01"),
    UseCase(slug="customer_lifetime_value", order="-cohort", start="2026-03-05", end="2026-05-01"),
    UseCase(slug="cart_abandoners", order="-since_last_cart"),
    UseCase(slug="cost_and_roas", order="cost"),
    UseCase(slug="brand_store", order="visitors"),
)


@dataclass(frozen=True, slots=True)
class Result:
    """What AMC answered: the CSV's cells as text."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def column(self, name: str) -> list[str]:
        """The cells of one column."""
        at = self.header.index(name)
        return [row[at] for row in self.rows]

    def numbers(self, name: str) -> list[float]:
        """The cells of one column as numbers; nothing counts as 0."""
        return [float(cell or 0) for cell in self.column(name)]


class Amc:
    """A client of the sandbox: over its HTTP API, inside this process."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        form = "grant_type=refresh_token&refresh_token=r&client_id=c&client_secret=s"
        token = json.loads(self._send("POST", f"{_HOST}/auth/o2/token", {}, form))["access_token"]
        self._headers = {
            "authorization": f"Bearer {token}",
            "amazon-advertising-api-clientid": "c",
            "amazon-advertising-api-advertiserid": _INSTANCE.entity_id,
            "amazon-advertising-api-marketplaceid": _INSTANCE.marketplace_id,
        }

    def run(self, workflow: Workflow, case: UseCase, *, has_rules: bool = True) -> Result:
        """The result of a workflow, with AMC's privacy rules or without."""
        asked = {
            "workflow": amc_definition(workflow, _TENANT),
            "timeWindowType": "EXPLICIT",
            "timeWindowStart": f"{case.start}T00:00:00",
            "timeWindowEnd": f"{case.end}T00:00:00",
            "parameterValues": dict(case.values),
            "requireSyntheticData": True,
            "disableAggregationControls": not has_rules,
        }
        execution = self._ask("POST", "/workflowExecutions", asked)["workflowExecutionId"]
        found = self._ask("GET", f"/workflowExecutions/{execution}")
        if found["status"] != "SUCCEEDED":
            raise RuntimeError(f"{case.slug}: {found['status']}: {found.get('statusReason')}")
        links = self._ask("GET", f"/workflowExecutions/{execution}/downloadUrls")["downloadUrls"]
        header, *rows = csv.reader(io.StringIO(self._send("GET", links[0], {}, "")), escapechar="\\")
        return Result(header, _sorted(header, rows, case.order))

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        content = "" if body is None else json.dumps(body)
        url = f"{_HOST}/amc/reporting/{_INSTANCE.instance_id}{path}"
        return json.loads(self._send(method, url, self._headers, content))

    def _send(self, method: str, url: str, headers: Mapping[str, str], content: str) -> str:
        status, _, answered = self._sandbox.respond(method, url, headers, content.encode())
        if status != 200:  # noqa: PLR2004 - HTTP's own
            raise RuntimeError(f"{method} {url}: {status} {answered.decode()}")
        return answered.decode()


@contextmanager
def opened() -> Iterator[Amc]:
    """The sandbox of the pages, with newly generated events."""
    options = SandboxOptions(instances=(_INSTANCE,), seed=SEED, scale=SCALE, days=DAYS, anchor=LAST_DAY)
    with tempfile.TemporaryDirectory() as directory:
        sandbox = Sandbox(Path(directory), FakeClock(_NOW), options)
        try:
            yield Amc(sandbox)
        finally:
            sandbox.close()


def workflows() -> dict[str, Workflow]:
    """The workflows of config/; raises ConfigError."""
    problems: list[Problem] = []
    found = library.read(ROOT / "config" / "workflows", problems, lambda path: path.name)
    if problems:
        raise ConfigError(problems)
    return found


def _sorted(header: Sequence[str], rows: list[list[str]], order: str) -> list[list[str]]:
    """AMC gives no order: the rows by all their cells, then by the one that matters."""
    at = header.index(order.removeprefix("-"))
    is_text = any(cell and not _is_number(cell) for cell in (row[at] for row in rows))

    def weight(row: list[str]) -> Any:
        return row[at] if is_text else float(row[at] or 0)

    return sorted(sorted(rows), key=weight, reverse=not order.startswith("-"))


# ---- the blocks of a page


def blocks(case: UseCase, workflow: Workflow, shown: Result, whole: Result) -> dict[str, str]:
    """The made parts of a page, by name."""
    return {
        "parameters": _parameters(workflow),
        "sql": f"```sql\n{workflow.sql.rstrip()}\n```",
        "run": _commands(case),
        "result": f"{_table(shown)}\n\n{_hidden(shown, whole)}\n\n![{workflow.description}]({case.slug}.svg)",
    }


def _parameters(workflow: Workflow) -> str:
    lines = ["| parameter | type | default | meaning |", "| --- | --- | --- | --- |"]
    for p in workflow.input_parameters:
        default = "" if p.default_value is None else f"`{json.dumps(p.default_value)}`".replace('"', "")
        lines.append(f"| `{p.name}` | {p.data_type} | {default} | {p.description} |")
    return "\n".join(lines)


def _commands(case: UseCase) -> str:
    given = "".join(f" -p {shlex.quote(f'{name}={_written(value)}')}" for name, value in case.values.items())
    window = f"--window {case.start}..{case.end}"
    return (
        f"```sh\namci sql run config/workflows/{case.slug}.sql {window}{given}\n"
        f"amci exec run {case.slug} --tenant acme {window}{given} --wait\n```"
    )


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _table(result: Result) -> str:
    filled = {name: [cell for cell in result.column(name) if cell] for name in result.header}
    is_number = [bool(cells) and all(map(_is_number, cells)) for cells in filled.values()]
    rule = ["---:" if number else "---" for number in is_number]
    rows = [
        [_cell(name, cell) for name, cell in zip(result.header, row, strict=True)]
        for row in result.rows[:_SHOWN]
    ]
    lines = ["| " + " | ".join(line) + " |" for line in [list(result.header), rule, *rows]]
    more = len(result.rows) - _SHOWN
    return "\n".join(lines) + (f"\n\nAnd {more} more rows." if more > 0 else "")


def _cell(name: str, text: str) -> str:
    """A cell as people read it; twice rounded, so that the last digit of a sum decides nothing."""
    if re.fullmatch(r"-?\d+", text):
        return f"{int(text):,}"
    if not _is_number(text):
        return text.replace("|", "\\|")
    places = 4 if re.search("rate|share", name) else 2
    return f"{round(round(float(text), 9), places):,.{places}f}"


def _is_number(text: str) -> bool:
    return bool(re.fullmatch(r"-?\d+(\.\d+)?([eE][-+]?\d+)?", text))


def _hidden(shown: Result, whole: Result) -> str:
    if "filtered" in shown.header:
        emptied = shown.column("filtered").count("true")
        return (
            f"Without AMC's privacy rules there would be {len(whole.rows)} rows. {len(shown.rows)} are left, and"
            f" {emptied} of them are what others were added up to."
        )
    hidden = len(whole.rows) - len(shown.rows)
    return f"AMC's privacy rules hide {hidden} of {len(whole.rows)} rows."


def _index(found: Mapping[str, Workflow]) -> str:
    lines = ["| use case | what it answers | parameters |", "| --- | --- | --- |"]
    for case in USE_CASES:
        workflow = found[case.slug]
        names = ", ".join(f"`{p.name}`" for p in workflow.input_parameters)
        title = (PAGES / f"{case.slug}.md").read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        lines.append(f"| [{title}]({case.slug}.md) | {workflow.description} | {names} |")
    return "\n".join(lines)


def renewed(text: str, made: Mapping[str, str]) -> str:
    """A page with its generated parts; KeyError for a part that is not generated here."""
    return _BLOCK.sub(lambda m: f"{m[1]}{made[m['name']]}\n{m[3]}", text)


def main(arguments: list[str]) -> int:
    """Exit code 1 where `--check` is asked for and a page shows something else than what came."""
    is_check = arguments == ["--check"]
    can_draw = importlib.util.find_spec("matplotlib") is not None
    if not (is_check or can_draw):
        sys.stderr.write(
            "charts stay as they are: `make use-cases` installs what draws them (docs/decisions/0017-charts.md)\n"
        )
    found = workflows()
    fresh = {PAGES / "README.md": {"index": _index(found)}}
    with opened() as amc:
        for case in USE_CASES:
            workflow = found[case.slug]
            shown, whole = amc.run(workflow, case), amc.run(workflow, case, has_rules=False)
            fresh[PAGES / f"{case.slug}.md"] = blocks(case, workflow, shown, whole)
            if can_draw and not is_check:
                _drawn(case, shown)
    stale = [path for path, made in fresh.items() if _is_stale(path, made, is_check=is_check)]
    return int(is_check and bool(stale))


def _drawn(case: UseCase, result: Result) -> None:
    # Only those who draw need matplotlib.
    from use_case_charts import draw

    draw(case.slug, result, PAGES / f"{case.slug}.svg")


def _is_stale(path: Path, made: Mapping[str, str], *, is_check: bool) -> bool:
    text = path.read_text(encoding="utf-8")
    fresh = renewed(text, made)
    if fresh != text and is_check:
        name = str(path.relative_to(ROOT))
        lines = difflib.unified_diff(text.splitlines(), fresh.splitlines(), name, "run", lineterm="")
        sys.stderr.write("".join(f"{line}\n" for line in lines))
    if fresh != text and not is_check:
        path.write_text(fresh, encoding="utf-8")
    return fresh != text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
