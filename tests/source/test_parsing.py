"""What makes a file bad by itself, and what waits for other files."""

from reconciler.model.images import Images
from reconciler.source.parsing import manifest_parser

CRON = """apiVersion: argoproj.io/v1alpha1
kind: CronWorkflow
metadata: {name: c, annotations: {ANNOTATION}}
spec:
  schedules: ["SCHEDULE"]
  workflowSpec: {workflowTemplateRef: {name: elsewhere}}
"""


def rules_of(text):
    return [finding.rule for finding in manifest_parser(Images())("c.yaml", "", text.encode(), False).findings]


def test_a_document_whose_template_is_elsewhere_is_judged_by_its_schedule_and_annotations():
    good = CRON.replace("SCHEDULE", "0 3 * * *").replace("ANNOTATION", "lineclear.dev/on-failure: Hold")
    assert rules_of(good) == []
    assert rules_of(good.replace("0 3 * * *", "61 3 * * *")) == ["LC601"]
    assert rules_of(good.replace("on-failure: Hold", "on-failur: Hold")) == ["LC801"]
    assert rules_of(good.replace("on-failure: Hold", "on-failure: hold")) == ["LC802"]
