"""Which documents are ours: by apiVersion and kind, and those that are surely meant to be and just miss it.

Owns the choice of kinds, and what a near miss is told. It never reads what a document says beyond these two.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from reconciler.manifest import rules
from reconciler.manifest.reading import Reading
from reconciler.model.spec import Kind

ARGO_API = "argoproj.io/v1alpha1"
LINECLEAR_API = "lineclear.dev/v1alpha1"
ARGO_KINDS = frozenset({Kind.WORKFLOW, Kind.WORKFLOW_TEMPLATE, Kind.CLUSTER_TEMPLATE, Kind.CRON_WORKFLOW})
OWN_KINDS = frozenset({Kind.INFRASTRUCTURE, Kind.CONSTRAINT, Kind.LOCK_POLICY})
LISTED: Mapping[str, str] = {  # what may be an item of a list, with its apiVersion
    **{kind.value: ARGO_API for kind in sorted(ARGO_KINDS)},
    **{kind.value: LINECLEAR_API for kind in sorted(OWN_KINDS)},
    Kind.CONFIG_MAP.value: "v1",
    "Secret": "v1",
}
_LATER = {ARGO_API: ("WorkflowEventBinding",), LINECLEAR_API: ()}
_OTHERS = frozenset(  # kinds of the Argo projects that are none of ours, and whose names are near
    {
        "AnalysisRun", "AnalysisTemplate", "AppProject", "Application", "ApplicationSet", "ClusterAnalysisTemplate", "EventBus",
        "EventSource", "Experiment", "Rollout", "Sensor", "WorkflowArtifactGCTask", "WorkflowTaskResult", "WorkflowTaskSet",
    }
)  # fmt: skip
_NEAR_KIND, _NEAR_API = 0.85, 0.8


def kind_of(r: Reading, body: Mapping[str, Any]) -> Kind | None:
    """The kind of a document of ours; None for any other. One that was surely meant for us is noted."""
    api, kind = body.get("apiVersion"), body.get("kind")
    if api == ARGO_API and isinstance(kind, str) and kind in ARGO_KINDS:
        return Kind(kind)
    if api == LINECLEAR_API and isinstance(kind, str) and kind in OWN_KINDS:
        return Kind(kind)
    if api == "v1" and kind == "ConfigMap":
        return Kind.CONFIG_MAP
    if api == "v1" and kind == "Secret":
        r.note(rules.SECRET, ("kind",), "a Secret cannot come from Git; put the value into the home's secrets folder")
        return None
    if not _note_key(r, body):
        _note_unknown(r, api, kind)
    return None


def _note_key(r: Reading, body: Mapping[str, Any]) -> bool:
    """True if apiVersion or kind is written in another case, in a document that would be ours."""
    folded = {key.lower(): key for key in body if key.lower() in ("apiversion", "kind")}
    wrong = [(key, name) for name in ("apiVersion", "kind") if (key := folded.get(name.lower(), name)) != name]
    api, kind = body.get(folded.get("apiversion", "")), body.get(folded.get("kind", ""))
    if not wrong or not isinstance(kind, str) or not isinstance(api, str):
        return False
    if LISTED.get(kind) != api or kind == "Secret":
        return False
    for key, name in wrong:
        r.note(rules.KIND_UNKNOWN, (key,), f'field "{key}" of a manifest is written "{name}"; nothing reads it so', on_key=True)
    return True


def _note_unknown(r: Reading, api: Any, kind: Any) -> None:
    """Note a kind that was surely meant for us; whatever else stands in the repository is foreign."""
    group = api.partition("/")[0] if isinstance(api, str) else ""
    if group in ("argoproj.io", "lineclear.dev"):
        _note_kind(r, api, kind, ARGO_API if group == "argoproj.io" else LINECLEAR_API)
        return
    if not isinstance(kind, str):
        return
    known = nearest_kind(kind, (*ARGO_KINDS, *OWN_KINDS))
    wanted = LISTED.get(known, "")
    if api is None and kind == known:
        r.note(rules.KIND_UNKNOWN, (), f'the {kind} has no apiVersion; add "apiVersion: {wanted}"')
    elif wanted and isinstance(api, str) and _is_nearly(api, wanted):
        message = f'apiVersion "{api}" of a {kind} is not known; write "{wanted}"'
        message += f' and "kind: {known}"' if kind != known else ""
        r.note(rules.KIND_UNKNOWN, ("apiVersion",), message)


def _is_nearly(api: str, wanted: str) -> bool:
    """True for a slip of the apiVersion: a part of it, another case, one or two letters."""
    text = api.strip().lower()
    return text in ("v1", *wanted.split("/")) or difflib.SequenceMatcher(None, text, wanted).ratio() >= _NEAR_API


def _note_kind(r: Reading, api: str, kind: Any, wanted: str) -> None:
    later = _LATER[wanted]
    known = [*(ARGO_KINDS if wanted == ARGO_API else OWN_KINDS), *later]
    if not isinstance(kind, str) or not kind:
        r.note(rules.KIND_UNKNOWN, (), "the document has no kind; add one of " + ", ".join(sorted(known)))
    elif kind in known and api != wanted:
        r.note(rules.KIND_UNKNOWN, ("apiVersion",), f'apiVersion "{api}" of a {kind} is not known; write "{wanted}"')
    elif kind in later:
        r.note(rules.KIND_LATER, ("kind",), f"kind {kind} is not supported yet; keep it outside the configured path")
    elif near := nearest_kind(kind, known):
        r.note(rules.KIND_UNKNOWN, ("kind",), f'kind "{kind}" is not known; did you mean "{near}"?')
    elif LISTED.get(kind) is not None and LISTED[kind] != wanted:
        message = f'a {kind} belongs to another apiVersion than "{api}"; write "apiVersion: {LISTED[kind]}"'
        r.note(rules.KIND_UNKNOWN, ("apiVersion",), message)
    elif wanted == LINECLEAR_API:
        r.note(rules.KIND_UNKNOWN, ("kind",), f'kind "{kind}" is not known; use one of {", ".join(sorted(known))}')


def nearest_kind(kind: str, known: Iterable[str]) -> str:
    """The kind that is meant, whatever the case; '' if none is near, or if it is another of the Argo projects'."""
    if kind in _OTHERS:
        return ""
    by_lower = {str(name).lower(): str(name) for name in sorted(known)}
    near = difflib.get_close_matches(kind.lower(), by_lower, n=1, cutoff=_NEAR_KIND)
    return by_lower[near[0]] if near else ""
