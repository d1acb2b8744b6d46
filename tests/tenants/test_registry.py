from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from amci.kernel.config import parsed, read_document
from amci.kernel.errors import ConfigError, NotFound, StorageError, UsageError
from amci.kernel.files import on_fault_point
from amci.kernel.workspace import WorkspacePaths
from amci.tenants.documents import tenants_from
from amci.tenants.model import Tenant
from amci.tenants.raw_folder import contents, delete, folder_of, own_folder, prepare
from amci.tenants.registry import Changes, Registry


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "config"


@pytest.fixture
def registry(config: Path) -> Registry:
    return Registry(config)


def tenant(name_: str = "acme", /, **more: Any) -> Tenant:
    return parsed(Tenant, {"tenant": name_, **more}, "test")


def amc(name_: str = "acme", /, **more: Any) -> Tenant:
    fields = {"instance_id": f"amc{name_}", "advertiser_id": "ENTITY1", "marketplace_id": "A1PA6795UKMFR9"}
    return tenant(name_, **{**fields, **more})


def text(config: Path, name: str = "acme.yaml") -> str:
    return (config / "tenants" / name).read_text(encoding="utf-8")


def files(config: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in (config / "tenants").glob("*")}


def problems(do: Any, *arguments: Any) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        do(*arguments)
    return [str(problem) for problem in raised.value.problems]


def test_a_tenant_is_written_as_a_person_would(registry: Registry, config: Path) -> None:
    added = amc(tags=["pets", "toys"], name="Ünïque: Acme", slots=3, values={"brand": "on", "n": 1})
    assert registry.add([added]) == Changes(created=("acme",))
    assert text(config) == (
        "tenant: acme\n"
        "name: 'Ünïque: Acme'\n"
        "tags: [pets, toys]\n"
        "region: EU\n"
        "instance_id: amcacme\n"
        "advertiser_id: ENTITY1\n"
        "marketplace_id: A1PA6795UKMFR9\n"
        "slots: 3\n"
        "values: {brand: 'on', n: 1}\n"
    )


@pytest.mark.parametrize(
    "given",
    [
        tenant(),
        tenant("007", name="null", tags=["12:30", "2026-01-01", "0x1F", "1e5", "yes", "true", "~"]),
        amc(values={"a": {"b": [1, 2.5, True, None, "TODAY(-1)", "# no comment", "line\nbreak"]}}),
        tenant(notify=[{"kind": "file", "path": "n.jsonl"}, {}], shared_workflows=["reach"]),
    ],
)
def test_what_is_written_is_read_as_the_same(registry: Registry, config: Path, given: Tenant) -> None:
    registry.add([given])
    (path,) = (config / "tenants").iterdir()
    assert parsed(Tenant, read_document(path, "x"), "x") == given


def test_adding_the_same_again_changes_nothing(registry: Registry, config: Path) -> None:
    registry.add([amc()])
    (config / "tenants" / "acme.yaml").write_text("# mine\n" + text(config), encoding="utf-8")
    before = files(config)
    assert registry.add([amc()]) == Changes(unchanged=("acme",))
    assert files(config) == before


def test_a_tenant_that_comes_again_keeps_what_the_document_does_not_speak_of(registry: Registry) -> None:
    registry.add([amc(shared_workflows=["oob"], tags=["pets"], slots=4)])
    details = {
        "customer_id": "acme",
        "customer_name": "Acme",
        "amc": {
            "instance_id": "amcnew",
            "amazon_ads_advertiser_id": "ENTITY1",
            "amazon_ads_marketplace_id": "ATVPDKIKX0DER",
        },
    }
    again = tenants_from({"customer_details": details}, "c.json").tenants
    assert registry.add(again).updated == ("acme",)
    kept = registry.get("acme")
    assert (kept.shared_workflows, kept.tags, kept.slots) == (("oob",), ("pets",), 4)
    assert (kept.instance_id, kept.region, kept.name) == ("amcnew", "NA", "Acme")


def test_all_tenants_of_a_call_are_added_or_none(registry: Registry, config: Path) -> None:
    registry.add([tenant("there")])
    before = files(config)
    assert problems(registry.add, [tenant("one"), tenant("two", prefix="one"), tenant("two")]) == [
        "tenant two: tenant: stands twice in what is added",
    ]
    said = problems(registry.add, [tenant("one"), tenant("two", prefix="THERE"), amc("three", region="NA")])
    assert said == [
        "tenant three: region: NA contradicts the marketplace: DE is in EU",
        "tenant two: prefix: 'there' is tenant there's already: their tables would mix",
    ]
    assert files(config) == before


def test_two_tenants_do_not_share_a_raw_directory(registry: Registry) -> None:
    registry.add([tenant("one", raw="/mnt/results")])
    (said,) = problems(registry.add, [tenant("two", raw="/mnt/results/two")])
    assert said.startswith("tenant two: raw: '/mnt/results/two' overlaps with tenant one's")


def test_two_tenants_may_share_an_instance_but_are_told(registry: Registry) -> None:
    changes = registry.add([amc("one", instance_id="amcsame"), amc("two", instance_id="amcsame")])
    assert changes.created == ("one", "two")
    (note,) = changes.notes
    assert note == "one and two have the same AMC instance, amcsame; they share its slots"


def test_a_file_that_holds_another_tenant_is_not_overwritten(registry: Registry, config: Path) -> None:
    (config / "tenants").mkdir(parents=True)
    (config / "tenants" / "acme.yaml").write_text("tenant: other\n", encoding="utf-8")
    (said,) = problems(registry.add, [tenant()])
    assert "this file is tenant other's" in said
    assert text(config) == "tenant: other\n"


@pytest.mark.parametrize("at", range(1, 7))
def test_what_was_written_is_put_back_where_a_later_write_fails(
    registry: Registry, config: Path, at: int
) -> None:
    registry.add([tenant("one"), tenant("two")])
    before = files(config)
    seen = 0

    def fail(name: str) -> None:
        nonlocal seen
        seen += 1
        if seen == at:
            raise OSError(28, name)

    on_fault_point(fail)
    try:
        with pytest.raises(StorageError):
            registry.add([tenant("one", name="One"), tenant("new")])
    finally:
        on_fault_point(None)
    assert files(config) == before


def test_a_plan_writes_nothing(registry: Registry, config: Path) -> None:
    assert registry.plan([tenant()]).changes.created == ("acme",)
    assert not config.exists()


def test_an_update_keeps_the_comments_at_the_top(registry: Registry, config: Path) -> None:
    registry.add([tenant()])
    written = "# Our first.\n\n# Two lines.\ntenant: acme\nslots: 2 # few\n"
    (config / "tenants" / "acme.yaml").write_text(written, encoding="utf-8")
    changes = registry.update("acme", {"slots": 5, "tags": ["a"]})
    assert text(config) == "# Our first.\n\n# Two lines.\ntenant: acme\ntags: [a]\nslots: 5\n"
    assert changes.updated == ("acme",)
    assert "comments at its top are kept, those below are not" in changes.notes[0]
    assert registry.update("acme", {"slots": 6}).notes == ()


def test_an_update_goes_into_the_file_the_tenant_has(registry: Registry, config: Path) -> None:
    (config / "tenants").mkdir(parents=True)
    (config / "tenants" / "first.json").write_text('{"tenant": "acme"}', encoding="utf-8")
    registry.update("acme", {"slots": 5})
    assert json.loads(text(config, "first.json")) == {"tenant": "acme", "slots": 5}
    assert list(files(config)) == ["first.json"]


def test_the_region_follows_the_marketplace(registry: Registry) -> None:
    registry.add([amc()])
    registry.update("acme", {"marketplace_id": "A1VC38T7YXB528"})
    assert registry.get("acme").region == "FE"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"slot": 5}, "slot: unknown key (did you mean 'slots'?)"),
        ({"slots": 0}, "slots: input should be greater than or equal to 1"),
        ({"tenant": "acme2"}, "tenant: a tenant keeps its id; add the new one and remove this one"),
        ({"region": "NA"}, "region: NA contradicts the marketplace: DE is in EU"),
    ],
)
def test_a_wrong_update_changes_nothing(
    registry: Registry, config: Path, changes: dict[str, Any], said: str
) -> None:
    registry.add([amc()])
    before = files(config)
    assert problems(registry.update, "acme", changes) == [f"config/tenants/acme.yaml: {said}"]
    assert files(config) == before


def test_a_removed_tenant_is_gone(registry: Registry) -> None:
    registry.add([tenant("one"), tenant("two")])
    assert registry.remove("one").file.name == "one.yaml"
    assert list(registry.tenants()) == ["two"]


def test_a_tenant_nobody_knows_is_not_found(registry: Registry) -> None:
    registry.add([tenant("blue-kettle")])
    for do in (registry.get, registry.remove, lambda name: registry.update(name, {})):
        with pytest.raises(NotFound, match="no tenant 'blue-kettl'") as unknown:
            do("blue-kettl")
        assert unknown.value.hint == "did you mean 'blue-kettle'?"


def test_tenants_in_one_file_change_and_go_without_the_others(registry: Registry, config: Path) -> None:
    (config / "tenants").mkdir(parents=True)
    written = "# All of them.\ncustomers:\n- tenant: one\n- tenant: two\n- {tenant: three, slots: 2}\n"
    (config / "tenants" / "all.yaml").write_text(written, encoding="utf-8")
    assert registry.update("two", {"slots": 5}).updated == ("two",)
    assert text(config, "all.yaml") == (
        "# All of them.\ntenants:\n- {tenant: one}\n- {tenant: two, slots: 5}\n- {tenant: three, slots: 2}\n"
    )
    assert registry.add([tenant("one", slots=3), tenant("three", slots=3)]).updated == ("one", "three")
    removal = registry.remove("one")
    assert (removal.file.name, removal.is_file_kept) == ("all.yaml", True)
    assert {name: one.slots for name, one in registry.tenants().items()} == {"two": 5, "three": 3}
    registry.remove("two")
    registry.remove("three")
    assert files(config) == {}


def test_a_tenant_in_the_form_of_the_aws_solution_is_changed_and_then_written_in_our_own(
    registry: Registry, config: Path
) -> None:
    (config / "tenants").mkdir(parents=True)
    ids = {
        "instance_id": "amc1", "amazon_ads_advertiser_id": "E1", "amazon_ads_marketplace_id": "ATVPDKIKX0DER"
    }  # fmt: skip
    details = {"customer_id": "acme", "customer_name": "Acme", "amc": ids}
    (config / "tenants" / "acme.json").write_text(json.dumps({"customer_details": details}), encoding="utf-8")
    assert registry.update("acme", {"slots": 5}).not_carried_over == {}
    assert json.loads(text(config, "acme.json")) == {
        "tenant": "acme", "name": "Acme", "region": "NA", "instance_id": "amc1", "advertiser_id": "E1",
        "marketplace_id": "ATVPDKIKX0DER", "slots": 5,
    }  # fmt: skip


def test_a_tenant_that_amc_would_refuse_can_be_corrected(registry: Registry, config: Path) -> None:
    registry.add([amc()])
    (config / "tenants" / "acme.yaml").write_text(text(config).replace("EU", "NA"), encoding="utf-8")
    registry.update("acme", {"region": "EU"})
    assert registry.get("acme").region == "EU"


def test_mistakes_in_files_people_wrote_are_all_listed(registry: Registry, config: Path) -> None:
    (config / "tenants").mkdir(parents=True)
    for name, content in (("a", "tenant: a/b\n"), ("b", "tennant: b\n"), ("c", "tenant: x\n")):
        (config / "tenants" / f"{name}.yaml").write_text(content, encoding="utf-8")
    (config / "tenants" / "d.yml").write_text("tenant: x\n", encoding="utf-8")
    said = problems(registry.add, [tenant()])
    assert [line.split(":")[0] for line in said] == [
        "config/tenants/a.yaml", "config/tenants/b.yaml", "config/tenants/b.yaml", "config/tenants/d.yml"
    ]  # fmt: skip
    assert "defined in another file already" in said[-1]


@pytest.fixture
def workspace(tmp_path: Path) -> WorkspacePaths:
    return WorkspacePaths(tmp_path.resolve())


def test_a_folder_inside_the_workspace_is_made(workspace: WorkspacePaths) -> None:
    folder = folder_of(tenant(), workspace, "raw")
    assert prepare(folder, workspace) == "files land in raw/acme/"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert prepare(folder, workspace) == "files land in raw/acme/"


def test_a_folder_outside_is_looked_at_and_left_alone(
    workspace: WorkspacePaths, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("bucket")
    outside.chmod(0o755)
    folder = folder_of(tenant(raw=str(outside)), workspace, "raw")
    assert "can be read" in prepare(folder, workspace)
    assert outside.stat().st_mode & 0o777 == 0o755
    with pytest.raises(NotFound, match="is not there") as raised:
        prepare(folder / "deeper", workspace)
    assert "makes nothing outside" in raised.value.hint
    (outside / "file").touch()
    with pytest.raises(StorageError) as refused:
        prepare(folder / "file", workspace)
    assert "setfacl" in refused.value.hint
    assert own_folder(tenant(raw=str(outside)), [], workspace, "raw") is None


def test_a_tenants_folder_is_deleted_alone(workspace: WorkspacePaths) -> None:
    one, two = tenant("one"), tenant("two")
    for name in ("one", "two"):
        (workspace.raw / name / "workflow=x").mkdir(parents=True)
        (workspace.raw / name / "workflow=x" / "f.csv").write_text("12345", encoding="utf-8")
    folder = own_folder(one, [one, two], workspace, "raw")
    assert folder == workspace.raw / "one"
    found = contents(folder)
    assert (found.files, found.size) == (1, 5)
    delete(folder)
    delete(folder)
    assert [path.name for path in workspace.raw.iterdir()] == ["two"]


@pytest.mark.parametrize("raw", [".", "raw", "config/x", "state", "stage", "raw/two/inner"])
def test_a_folder_with_anything_else_in_it_is_not_deleted(workspace: WorkspacePaths, raw: str) -> None:
    one, two = tenant("one", raw=raw), tenant("two")
    with pytest.raises(UsageError):
        own_folder(one, [one, two], workspace, "raw")


def test_a_folder_that_is_a_link_to_elsewhere_stays(
    workspace: WorkspacePaths, tmp_path_factory: pytest.TempPathFactory
) -> None:
    workspace.raw.mkdir()
    (workspace.raw / "acme").symlink_to(tmp_path_factory.mktemp("elsewhere"))
    assert own_folder(tenant(), [tenant()], workspace, "raw") is None


def test_keys_that_a_rewritten_file_has_no_place_for_are_named(registry: Registry, config: Path) -> None:
    (config / "tenants").mkdir(parents=True)
    ids = {"amazon_ads_advertiser_id": "E1", "amazon_ads_marketplace_id": "ATVPDKIKX0DER", "bucket_name": "b"}
    customers = [
        {"customer_id": name, "customer_name": name, "bucket_region": "us-east-1"}
        | {"amc": ids | {"instance_id": f"amc{name}"}}
        for name in ("one", "two")
    ]
    (config / "tenants" / "all.json").write_text(json.dumps({"customers": customers}), encoding="utf-8")
    keys = ("bucket_name", "bucket_region")
    removal = registry.remove("one")
    assert (removal.is_file_kept, removal.not_carried_over) == (True, {"two": keys})
    (config / "tenants" / "all.json").write_text(json.dumps({"customers": customers}), encoding="utf-8")
    assert registry.update("one", {"slots": 5}).not_carried_over == {"one": keys, "two": keys}
    assert registry.update("one", {"slots": 6}).not_carried_over == {}
