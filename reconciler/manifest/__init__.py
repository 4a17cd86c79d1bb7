"""Text to model: YAML and JSON with positions and guards, decoding, and the merging of a workflow with its template.

The room's face. It never applies anything, never follows a reference between documents, and never sees a clock or a disk.
"""

from reconciler.manifest.decode import decode_spec
from reconciler.manifest.deployment import deployment_to_json, read_deployment
from reconciler.manifest.locks import read_lock_key
from reconciler.manifest.merge import merge_body, merge_template, workflow_body_spec
from reconciler.manifest.own_kinds import read_constraint, read_infrastructure, read_lock_policy
from reconciler.manifest.parse import content_digest, parse_file
from reconciler.manifest.references import hooks_of, lock_key, named_locks, named_templates, references_of

__all__ = [
    "content_digest",
    "decode_spec",
    "deployment_to_json",
    "hooks_of",
    "lock_key",
    "merge_body",
    "merge_template",
    "named_locks",
    "named_templates",
    "parse_file",
    "read_constraint",
    "read_deployment",
    "read_infrastructure",
    "read_lock_key",
    "read_lock_policy",
    "references_of",
    "workflow_body_spec",
]
