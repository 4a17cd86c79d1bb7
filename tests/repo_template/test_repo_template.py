"""The repository that a new home is seeded with: it parses without a finding, and starts next to nothing by itself."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from reconciler.lint import lint_files
from reconciler.manifest import parse_file
from reconciler.model.concurrency import ConcurrencyPolicy
from reconciler.model.spec import Document, Kind, Program

TEMPLATE = Path(__file__).parents[2] / "repo-template"
FILES = sorted(p for p in TEMPLATE.rglob("*") if p.suffix in {".yaml", ".yml", ".json"})


def parsed(path: Path):
    return parse_file(str(path.relative_to(TEMPLATE)), "0" * 40, path.read_bytes())


def all_documents() -> list[Document]:
    return [document for path in FILES for document in parsed(path).documents]


def find(kind: Kind, name: str) -> Document:
    return next(d for d in all_documents() if (d.kind, d.name) == (kind, name))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TEMPLATE)))
def test_a_file_of_the_template_parses_without_a_finding(path):
    result = parsed(path)
    assert [str(finding) for finding in result.findings] == []
    assert len(result.documents) == 1
    assert result.foreign == 0


def test_one_workflow_alone_runs_when_a_home_is_made():
    assert [d.name for d in all_documents() if d.kind is Kind.WORKFLOW] == ["hello"]


def test_the_template_has_an_example_of_every_kind_and_policy():
    assert {d.kind for d in all_documents()} == set(Kind)
    policies = {d.cron.concurrency_policy for d in all_documents() if d.cron is not None}
    assert policies == {ConcurrencyPolicy.FORBID, ConcurrencyPolicy.REPLACE}


def test_the_hourly_cron_takes_its_mutex_from_the_template_that_is_started_by_hand():
    cron = find(Kind.CRON_WORKFLOW, "hourly-job").spec
    template = find(Kind.WORKFLOW_TEMPLATE, "hourly-job").spec
    assert cron is not None
    assert template is not None
    assert (cron.template_ref, [lock.name for lock in template.locks]) == ("hourly-job", ["hourly-job"])


def test_deployments_lock_their_environment_and_only_the_migration_locks_the_database():
    deploy = find(Kind.WORKFLOW_TEMPLATE, "deploy").spec
    assert deploy is not None
    assert [lock.name for lock in deploy.locks] == ["deploy-{{workflow.parameters.environment}}"]
    locks = {name: [lock.name for lock in t.locks] for name, t in deploy.templates.items() if t.locks}
    assert locks == {"migrate": ["database"]}


def test_the_semaphores_limit_is_a_key_of_the_config_map():
    spec = find(Kind.WORKFLOW_TEMPLATE, "load-test").spec
    assert spec is not None
    (lock,) = spec.locks
    assert int(find(Kind.CONFIG_MAP, lock.configmap).data[lock.key]) > 0


def test_every_script_is_sound_shell_and_pastes_no_parameter_into_its_text():
    programs = [t.body for d in all_documents() if d.spec for t in d.spec.templates.values() if isinstance(t.body, Program)]
    texts = [p.source if p.source is not None else p.args[0] for p in programs]
    assert [text for text in texts if "{{" in text] == []
    for text in texts:
        subprocess.run(["bash", "-n"], input=text, text=True, check=True)


def test_the_deploy_script_writes_one_file_into_the_folder_it_is_started_in(tmp_path):
    subprocess.run(
        [TEMPLATE / "deploy.sh", "staging", "1.0"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "LINECLEAR_EPOCH": "7"},
        check=True,
        capture_output=True,
    )
    assert [p.name for p in tmp_path.iterdir()] == ["release"]
    assert (tmp_path / "release").read_text(encoding="utf-8") == "environment=staging version=1.0 epoch=7\n"


def test_the_template_lints_without_a_finding():
    assert [str(finding) for finding in lint_files([parsed(path) for path in FILES], {})] == []


def test_the_demos_manifests_lint_without_a_finding_but_for_the_mistake_that_is_pushed_on_purpose():
    demo = Path(__file__).parents[2] / "docs" / "demo"
    files = [parse_file(path.name, "0" * 40, path.read_bytes()) for path in sorted(demo.glob("*.yaml"))]
    findings = [*(f for file in files for f in file.findings), *lint_files(files, {})]
    assert [(str(f.place), f.severity.value) for f in findings] == [("report.yaml:7:7", "error")]
