"""Configuration at the edge: strict YAML, and the settings of a workspace."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from amci.kernel.clock import duration
from amci.kernel.errors import ConfigError, Problem, UsageError
from amci.kernel.files import MOST_BYTES, MOST_DEPTH, entries, text_of
from amci.kernel.names import did_you_mean

Model = TypeVar("Model", bound=BaseModel)

#: Suffixes of documents that people write.
DOCUMENTS = (".yaml", ".yml", ".json")
#: Values in one document, each counted as often as it is referred to.
MOST_VALUES = 200_000
#: The same in a recording, which holds as many as AMC answered.
MOST_RECORDED = 5_000_000
_CENTURY = timedelta(days=36525)
_NO_DURATION = "should be a duration such as '500ms', '2s', '5m', '1h' or '30d'"
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", re.IGNORECASE)


def _duration(value: object) -> object:
    """Text as `duration` reads it; anything else is left to pydantic."""
    if not isinstance(value, str):
        return value
    try:
        return duration(value)
    except UsageError:
        raise ValueError(_NO_DURATION) from None


def _size(value: object) -> object:
    """`16MiB`, `2GB`, `4096`; all units are powers of 1024."""
    if isinstance(value, str):
        match = _SIZE.fullmatch(value.strip())
        if not match:
            raise ValueError("should be a size such as '4096', '16MiB' or '2GB'")
        return int(Decimal(match[1]) * 1024 ** " kmgt".index(match[2].lower() or " "))
    return value


def _not_negative(value: timedelta) -> timedelta:
    if value < timedelta(0):
        raise ValueError("should not be negative")
    return value


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("should be longer than 0")
    return value


def _at_most_a_century(value: timedelta) -> timedelta:
    if value > _CENTURY:
        raise ValueError("should be at most 36525d")
    return value


#: Of any length a workspace may live; times beyond could not be written down.
Duration = Annotated[
    timedelta, BeforeValidator(_duration), AfterValidator(_not_negative), AfterValidator(_at_most_a_century)
]
PositiveDuration = Annotated[Duration, AfterValidator(_positive)]
#: Bytes; at most 1 PiB.
Size = Annotated[int, BeforeValidator(_size), Field(ge=1, le=1024**5)]
#: What DuckDB can work with at least.
MemorySize = Annotated[Size, Field(ge=16 * 1024**2)]


class Strict(BaseModel):
    """A piece of configuration: unknown keys are mistakes, values never change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NotifySettings(Strict):
    """Somebody to tell."""

    kind: Literal["console", "file", "webhook", "smtp"] = "console"
    """`console` writes one line to standard error, `file` appends JSON lines, `webhook` posts JSON, `smtp` mails."""
    path: str = "logs/notices.jsonl"
    """For `file`: where, relative to the workspace."""
    url: str = ""
    """For `webhook`: where to post. For `smtp`: `smtp://user@host:587` (STARTTLS) or `smtps://user@host:465`."""
    secret: str = ""
    """Name of the entry in `amci auth` that holds the signing key of a `webhook`, or the password of `smtp`."""
    sender: str = ""
    """For `smtp`: the sender's address."""
    to: tuple[str, ...] = ()
    """For `smtp`: the recipients' addresses."""
    events: tuple[str, ...] = ("failed", "doubt", "twice")
    """Which events: `failed`, `skipped`, `succeeded`, `cancelled`, `quality`, `doubt` (a file that may be wrong),
    `twice` (executed twice by AMC)."""
    kinds: tuple[str, ...] = ()
    """Only runs of these kinds, such as `execute` or `provision`; empty means all."""
    statuses: tuple[str, ...] = ()
    """Only these AMC statuses of executions, such as `FAILED` or `REJECTED`; empty means all."""
    tenants: tuple[str, ...] = ()
    """Only these tenants; empty means all."""


class SandboxSettings(Strict):
    """AMC on this machine, for `mode: sandbox`."""

    url: str = ""
    """Of a running `amci sandbox serve`; empty runs the sandbox inside amci itself."""
    pending: Duration = timedelta(0)
    """How long an execution stays PENDING even if a slot is free."""
    running: Duration = timedelta(0)
    """How long an execution stays RUNNING at least."""
    seed: int = Field(default=1, ge=0, lt=2**63)
    """Of the synthetic events; the same seed gives the same events."""
    scale: float = Field(default=0.02, gt=0, le=100, allow_inf_nan=False)
    """How many people and events: 1 is about 100,000 people, 0.01 about 1,000."""
    days: int = Field(default=60, ge=1, le=400)
    """Days of events up to the first day of the first query; later days are added as they come."""
    audience_minimum: int = Field(default=2000, ge=1, le=1_000_000_000)
    """People an audience needs at least; less makes sense if `scale` is small."""
    budget: int = Field(default=0, ge=0, le=1_000_000)
    """Most different queries about the same data and time within a day, against differencing; 0 sets no limit."""


class AmcSettings(Strict):
    """How amci talks to AMC."""

    mode: Literal["live", "record", "replay", "sandbox"] = "live"
    """`live` asks Amazon, `record` also writes fixtures, `replay` answers from them, `sandbox` stays here."""
    scenario: str = "default"
    """Which file in `fixtures/` is recorded or replayed."""
    matching: Literal["strict", "any_order"] = "any_order"
    """How `replay` finds an answer: in the order of the recording, or by what is asked."""
    timeout: PositiveDuration = timedelta(seconds=30)
    """For connecting, and for each read."""
    attempts: int = Field(default=5, ge=1, le=100)
    """Tries of a request that may be repeated, the first one included."""
    requests_per_second: float = Field(default=5.0, ge=0, le=10_000, allow_inf_nan=False)
    """To one instance; 0 means no limit."""
    account_slots: int = Field(default=200, ge=1, le=100_000)
    """Executions at one time in one AMC account; AMC's own limit is 200."""
    poll_first: Duration = timedelta(seconds=15)
    """Pause before the first look at an execution; grows by half each time up to `poll_longest`."""
    poll_longest: Duration = timedelta(minutes=5)
    """Longest pause between two looks."""
    deadline: PositiveDuration = timedelta(hours=8)
    """An execution that has not ended by then is given up: cancelled in AMC, and its run fails."""
    adopt_within: Duration = timedelta(minutes=1)
    """How long amci looks for an execution whose creation got no answer before it asks for it again."""
    breaker_failures: int = Field(default=5, ge=1, le=1_000_000)
    """So many failed requests in a row to one instance open its circuit."""
    breaker_pause: PositiveDuration = timedelta(seconds=30)
    """How long an open circuit rests before one request tries again."""
    look_back: PositiveDuration = timedelta(hours=72)
    """How far `amci exec reconcile` looks for executions."""
    sandbox: SandboxSettings = SandboxSettings()
    """For `mode: sandbox`."""


def _a_month(value: timedelta) -> timedelta:
    if value < timedelta(days=30):
        raise ValueError(
            "should be at least 30d: what is younger may still be compared, repeated or caught up"
        )
    return value


#: How long something is kept.
KeptFor = Annotated[Duration, AfterValidator(_a_month)]


class KeepSettings(Strict):
    """How long `amci maintenance` keeps what has ended; what is not given is kept for ever."""

    runs: KeptFor | None = None
    """Runs that succeeded, were skipped or cancelled, with their history, and failed ones that need nobody any more, as
    their file was loaded or forgotten since, or the same task succeeded. What reprocessing, repair and recovery read
    stays, and so does the key of every run."""
    executions: KeptFor | None = None
    """Executions of workflows that have ended in AMC, with their runs; also those that others asked for."""
    fires: KeptFor | None = None
    """The history of schedules; the newest fire of each stays."""
    versions: KeptFor | None = None
    """What is known of versions of raw files that were replaced and have no rows in the lake any more."""
    quarantine: KeptFor | None = None
    """Quarantine entries that were resolved so long ago, with the rows that were set aside; doubts likewise."""
    logs: KeptFor | None = None
    """Rotated log files, `logs/amci.jsonl.1` and older."""


class RootSettings(Strict):
    """A directory that is watched for raw files."""

    name: str
    """Short name, part of an object's identity; never change it."""
    path: str
    """Directory, relative to the workspace or absolute. Outside directories are only read."""
    watch: Literal["events", "polling", "off"] = "events"
    """`polling` for network mounts, where the kernel reports no events; `off` leaves it to the scans."""


class Settings(Strict):
    """The settings in amci.yaml."""

    name: str = "amci"
    """Name of the workspace, shown in status and notices."""
    roots: tuple[RootSettings, ...] = (RootSettings(name="raw", path="raw"),)
    """Directories that are watched."""
    settle: Duration = timedelta(seconds=0.5)
    """A file has landed when its size and mtime stood still this long (or it was renamed into place)."""
    scan_every: PositiveDuration = timedelta(seconds=30)
    """How often `amci up` compares the directories with what it knows, whatever events said."""
    check_contents: PositiveDuration = timedelta(days=1)
    """How often `amci up` reads each raw file again to see whether it still holds what was loaded: another file may
    have taken its name, size and time. `amci lake check --contents` does it at once."""
    check_rate: Size = 256 * 1024**2
    """Most bytes that `amci up` reads for that in a minute."""
    batch: int = Field(default=2000, ge=1, le=1_000_000)
    """At most this many small files share one transaction."""
    lease: PositiveDuration = timedelta(seconds=60)
    """A worker that is silent this long loses its runs."""
    max_attempts: int = Field(default=5, ge=1, le=1000)
    """Tries of a run that meets a passing fault (disk full, busy file), the first one included."""
    retry_interval: Duration = timedelta(seconds=1)
    """Pause before the second try; doubles each time, with jitter, up to `retry_max_delay`."""
    retry_max_delay: Duration = timedelta(minutes=5)
    """Longest pause between two tries."""
    threads: int | None = Field(default=None, ge=1, le=1024)
    """Threads DuckDB may use; as many as there are cores by default."""
    memory_limit: MemorySize = 1024**3
    """Memory DuckDB may use while loading."""
    query_memory_limit: MemorySize = 2 * 1024**3
    """Memory a query may use."""
    query_timeout: PositiveDuration = timedelta(minutes=10)
    """A query that runs longer is stopped."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """What is written to logs/amci.jsonl."""
    notify: tuple[NotifySettings, ...] = (NotifySettings(),)
    """Whom to tell, and of what."""
    amc: AmcSettings = AmcSettings()
    """How amci talks to AMC."""
    keep: KeepSettings = KeepSettings()
    """How long `amci maintenance` keeps what has ended; everything if nothing is given."""


class _UniqueKeys(yaml.SafeLoader):
    """YAML in which a key that stands twice is a mistake, as it always is.

    Bounded: a few lines of aliases of aliases would stand for billions of values, or for a value inside itself.
    """

    most_values = MOST_VALUES

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.start()

    def start(self) -> None:
        """Count from the beginning."""
        self._depth = 0
        self._sizes: dict[yaml.Node, int] = {}  #: values in each node that is complete

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """One node with all below it; raises ComposerError if it is too large or too deep."""
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        at: Any = event.start_mark
        if self._depth >= MOST_DEPTH and isinstance(event, yaml.CollectionStartEvent):
            raise yaml.composer.ComposerError(None, None, "is nested too deeply", at)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        if node is None:
            return None
        if isinstance(event, yaml.AliasEvent) and node not in self._sizes:
            raise yaml.composer.ComposerError(None, None, "a value refers to itself", at)
        if node not in self._sizes:
            inner = [] if isinstance(node, yaml.ScalarNode) else node.value
            below = [one for each in inner for one in (each if isinstance(each, tuple) else (each,))]
            self._sizes[node] = 1 + sum(self._sizes[one] for one in below)
        if self._sizes[node] > self.most_values or len(self._sizes) > self.most_values:
            says = f"more than {self.most_values:,} values"
            raise yaml.composer.ComposerError(None, None, says, at)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str | int) and key in seen:
                line = key_node.start_mark.line + 1
                raise yaml.constructor.ConstructorError(
                    None, None, f"line {line}: key {key!r} stands twice", None
                )
            if isinstance(key, str | int):
                seen.add(key)
        return super().construct_mapping(node, deep=deep)


# YAML 1.1 reads `on`, `yes` and `22:11` as something else than text; people mean what they write.
_UniqueKeys.yaml_implicit_resolvers = {
    first: [
        (tag, regexp)
        for tag, regexp in resolvers
        if tag not in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:int")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_UniqueKeys.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_UniqueKeys.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789")
)


#: Pure Python, the one that says what is wrong with a document; before it libyaml's, if PyYAML was built with it.
_LOADERS: tuple[type[_UniqueKeys], ...] = (_UniqueKeys,)
if yaml.__with_libyaml__:
    from yaml._yaml import CParser

    class _Quick(_UniqueKeys, CParser):
        """The same in a fifth of the time: libyaml reads the text, and the rest is done as always."""

        get_event, peek_event, check_event = CParser.get_event, CParser.peek_event, CParser.check_event

        def __init__(self, stream: str) -> None:
            CParser.__init__(self, stream)
            yaml.composer.Composer.__init__(self)
            yaml.constructor.SafeConstructor.__init__(self)
            yaml.resolver.Resolver.__init__(self)
            self.start()

    _LOADERS = (_Quick, _UniqueKeys)
#: Errors that are put in words by PyYAML's own reader; all others come from the code that both share.
_NOT_READ = (yaml.reader.ReaderError, yaml.scanner.ScannerError, yaml.parser.ParserError)
#: What libyaml reads and PyYAML refuses or reads in another way: tabs, `?` in flow style, tags, directives, byte order
#: marks, and comments behind the sign of a block.
_READ_OTHERWISE = re.compile(r"[\t?!\ufeff]|^%|[|>]\S*#", re.MULTILINE)


def _loaded(text: str, most_values: int) -> Any:
    """What a document holds; raises what PyYAML's own reader raises."""
    is_plain = not _READ_OTHERWISE.search(text) and not yaml.reader.Reader.NON_PRINTABLE.search(text)
    for kind in _LOADERS if is_plain else _LOADERS[-1:]:
        with suppress(*(() if kind is _UniqueKeys else _NOT_READ)):
            loader = kind(text)
            loader.most_values = most_values
            try:
                return loader.get_single_data()
            finally:
                loader.dispose()
    return None


def read_text(text: str, shown: str, *, is_recording: bool = False) -> Any:
    """What a YAML or JSON document holds, of whatever type. Raises ConfigError if it is neither."""
    try:
        return _loaded(text, MOST_RECORDED if is_recording else MOST_VALUES)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        said = getattr(error, "problem", None) or str(error)
        raise ConfigError([Problem(shown, "", f"{where}{said}")]) from error
    except (RecursionError, MemoryError):
        raise ConfigError([Problem(shown, "", "is nested too deeply")]) from None
    except (ValueError, ArithmeticError, LookupError, TypeError, AttributeError):
        # PyYAML's own, for `!!int x`, `!!timestamp 2026-99-99` or a number of thousands of digits.
        raise ConfigError(
            [Problem(shown, "", "has a value that is not of the type it claims to be")]
        ) from None


def documents_in(folder: Path) -> list[Path]:
    """The YAML and JSON files of a folder, by name; none if there is no such folder.

    Raises ConfigError if it cannot be listed.
    """
    shown = f"{folder.parent.name}/{folder.name}"
    return [path for path in entries(folder, shown) if path.suffix in DOCUMENTS]


def read_document(
    path: Path, shown: str, *, most: int = MOST_BYTES, is_recording: bool = False
) -> dict[str, Any]:
    """One YAML or JSON document of at most `most` bytes as a mapping. Raises ConfigError if it is not one."""
    document = read_text(text_of(path, shown, most=most), shown, is_recording=is_recording)
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigError([Problem(shown, "", "should be a mapping of keys to values")])
    return document


def parsed(model: type[Model], document: Mapping[str, Any], shown: str) -> Model:
    """`document` as a value of `model`. Raises ConfigError with every mistake in it."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        problems = [_problem(model, document, shown, dict(e)) for e in error.errors()]
        raise ConfigError(_one_each(problems)) from None


def _one_each(problems: Iterable[Problem]) -> list[Problem]:
    """One problem for each field: of a value that may be of several kinds, there is one for each kind."""
    says: dict[tuple[str, str], list[str]] = {}
    for problem in problems:
        several = says.setdefault((problem.file, problem.field), [])
        several.append(problem.says.removeprefix("input should be ") if several else problem.says)
    return [
        Problem(file, field, " or ".join(filter(None, [", ".join(several[:-1]), several[-1]])))
        for (file, field), several in says.items()
    ]


def _problem(model: type[BaseModel], document: object, shown: str, error: dict[str, Any]) -> Problem:
    field = ".".join(map(str, _place(document, error["loc"])))
    if error["type"] == "extra_forbidden":
        known = _fields_at(model, error["loc"][:-1])
        says = f"unknown key{did_you_mean(str(error['loc'][-1]), known)}"
    elif error["type"] == "missing":
        says = "field required"
    else:
        says = error["msg"].removeprefix("Value error, ")
        if says == error["msg"]:  # pydantic's own; ours may begin with a value
            says = says[0].lower() + says[1:]
    return Problem(shown, field, says)


def _place(document: Any, loc: tuple[str | int, ...]) -> list[str | int]:
    """Where in the document an error is, without the names that pydantic has for the kinds of a value."""
    for n, part in enumerate(loc):
        is_key = isinstance(document, Mapping) and part in document
        if is_key or (isinstance(document, (list, tuple)) and part in range(len(document))):
            document = document[part]
        elif n and isinstance(part, str) and (not isinstance(document, Mapping) or part[:1].isupper()):
            return [*loc[:n], *_place(document, loc[n + 1 :])]  # a kind: `int`, or the name of a class
        else:
            break  # a key that is missing, or has another name in the document
    return [*loc]


def _fields_at(model: type[BaseModel], loc: tuple[Any, ...]) -> list[str]:
    """The keys of the model that lies at `loc` inside `model`, as they are written."""
    for part in loc:
        field = _keys(model).get(str(part))
        if field is None:
            continue
        nested = [a for a in (field.annotation, *_flat_args(field.annotation)) if _is_model(a)]
        if not nested:
            return []
        model = nested[0]
    return list(_keys(model))


def _keys(model: type[BaseModel]) -> dict[str, FieldInfo]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _flat_args(annotation: object) -> list[Any]:
    return [inner for arg in get_args(annotation) for inner in (arg, *_flat_args(arg))]


def _is_model(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def read_settings(path: Path, environ: Mapping[str, str]) -> Settings:
    """amci.yaml with `AMCI_<FIELD>` from the environment laid over its single-valued settings."""
    document = read_document(path, path.name)
    plain = {name for name, f in Settings.model_fields.items() if name not in ("roots", "notify", "amc")}
    over = {name: environ[f"AMCI_{name.upper()}"] for name in plain if environ.get(f"AMCI_{name.upper()}")}
    try:
        return parsed(Settings, document | over, path.name)
    except ConfigError as error:
        # What the environment says is in no file.
        raise ConfigError(
            [
                Problem("environment", f"AMCI_{p.field.upper()}", p.says) if p.field in over else p
                for p in error.problems
            ]
        ) from None
