"""One blob to what it holds: which documents are ours, their values, and every problem with its place.

Owns the choice of kinds and the meaning of "bad file". It never applies anything and never raises for bad input.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

from reconciler.manifest import rules, schema
from reconciler.manifest.decode import read_cron, read_metadata, read_spec
from reconciler.manifest.own_kinds import read_own_kind
from reconciler.manifest.positions import Positions, unpack
from reconciler.manifest.reading import Reading, one_line
from reconciler.manifest.text import Problem, RawDocument, UnreadableText, read_documents
from reconciler.model.cron import CronSpec
from reconciler.model.own_kinds import OwnKind
from reconciler.model.spec import Document, Finding, Kind, ParsedFile, Place, WorkflowSpec

ARGO_API = "argoproj.io/v1alpha1"
LINECLEAR_API = "lineclear.dev/v1alpha1"
MAX_FINDINGS = 1000

_ARGO_KINDS = frozenset({Kind.WORKFLOW, Kind.WORKFLOW_TEMPLATE, Kind.CLUSTER_TEMPLATE, Kind.CRON_WORKFLOW})
_OWN_KINDS = frozenset({Kind.INFRASTRUCTURE, Kind.CONSTRAINT, Kind.LOCK_POLICY})
_LATER = {ARGO_API: ("WorkflowEventBinding",), LINECLEAR_API: ()}
_OURS = (b"argoproj.io/", b"lineclear.dev/")
_Findings = list[Finding]


def parse_file(path: str, blob_sha: str, data: bytes, *, held_before: bool = False) -> ParsedFile:
    """All documents of ours in one file, the number of foreign ones, and one finding for every problem.

    A file that cannot be read as YAML or JSON is an error only if its bytes name one of our API groups, or if it held a
    document of ours before (`held_before`); else it counts as one foreign document.
    """
    documents: list[Document] = []
    findings: _Findings = []
    foreign = 0
    try:
        for raw in read_documents(data):
            if raw.data is None and not raw.problems:
                continue
            document, found = _document(path, raw)
            findings += found
            if document is not None:
                documents.append(document)
            elif not found:
                foreign += 1
    except UnreadableText as error:
        foreign += 1
        if held_before or documents or findings or any(name in data for name in _OURS):
            foreign -= 1
            findings.append(_of_problem(path, error.problem))
    return ParsedFile(path=path, blob=blob_sha, documents=tuple(documents), foreign=foreign, findings=_capped(path, findings))


def _capped(path: str, findings: _Findings) -> tuple[Finding, ...]:
    findings.sort(key=lambda finding: (finding.place.line, finding.place.column, finding.rule))
    if len(findings) <= MAX_FINDINGS:
        return tuple(findings)
    rest = Finding(
        place=Place(path=path, line=1, column=1),
        rule=rules.LIMIT.id,
        severity=rules.LIMIT.severity,
        message=f"the file has {len(findings)} problems, of which {MAX_FINDINGS} are shown; mend these first",
    )
    return (*findings[:MAX_FINDINGS], rest)


def _of_problem(path: str, problem: Problem) -> Finding:
    return Finding(
        place=Place(path=path, line=problem.line, column=problem.column),
        rule=problem.rule.id,
        severity=problem.rule.severity,
        message=one_line(problem.message),
    )


def _of_notes(path: str, reading: Reading, positions: Positions) -> _Findings:
    found = []
    for note in reading.notes:
        line, column = positions.key(note.at) if note.on_key else positions.value(note.at)
        found.append(
            Finding(
                place=Place(path=path, line=line, column=column),
                rule=note.rule.id,
                severity=note.rule.severity,
                message=one_line(note.message),
            )
        )
    return found


def _document(path: str, raw: RawDocument) -> tuple[Document | None, _Findings]:
    """The document if it is ours; findings of a foreign one are dropped, since it is not ours to judge."""
    if not isinstance(raw.data, dict):
        return None, []
    reading = Reading()
    kind = _kind(reading, raw.data)
    if kind is None and not reading.notes:
        return None, []
    positions = Positions(raw.data, raw.spots)
    findings = [_of_problem(path, problem) for problem in raw.problems]
    document = None
    if kind is not None:
        document = _decode(reading, path, raw, kind, positions)
    findings += _of_notes(path, reading, positions)
    return document, findings


def _kind(r: Reading, body: Mapping[str, Any]) -> Kind | None:
    api, kind = body.get("apiVersion"), body.get("kind")
    if api == ARGO_API and isinstance(kind, str) and kind in _ARGO_KINDS:
        return Kind(kind)
    if api == LINECLEAR_API and isinstance(kind, str) and kind in _OWN_KINDS:
        return Kind(kind)
    if api == "v1" and kind == "ConfigMap":
        return Kind.CONFIG_MAP
    if api == "v1" and kind == "Secret":
        r.note(rules.SECRET, ("kind",), "a Secret cannot come from Git; put the value into the home's secrets folder")
        return None
    _note_unknown_kind(r, api, kind)
    return None


def _note_unknown_kind(r: Reading, api: Any, kind: Any) -> None:
    """Note a kind that was surely meant for us; whatever else stands in the repository is foreign."""
    if api is None and isinstance(kind, str) and kind in _ARGO_KINDS | _OWN_KINDS:
        wanted = ARGO_API if kind in _ARGO_KINDS else LINECLEAR_API
        r.note(rules.KIND_UNKNOWN, (), f'the {kind} has no apiVersion; add "apiVersion: {wanted}"')
        return
    group = api.partition("/")[0] if isinstance(api, str) else ""
    if group not in ("argoproj.io", "lineclear.dev"):
        return
    wanted = ARGO_API if group == "argoproj.io" else LINECLEAR_API
    later = _LATER[wanted]
    known = [*(_ARGO_KINDS if wanted == ARGO_API else _OWN_KINDS), *later]
    if not isinstance(kind, str) or not kind:
        r.note(rules.KIND_UNKNOWN, (), "the document has no kind; add one of " + ", ".join(sorted(known)))
    elif kind in known and api != wanted:
        r.note(rules.KIND_UNKNOWN, ("apiVersion",), f'apiVersion "{api}" of a {kind} is not known; write "{wanted}"')
    elif kind in later:
        r.note(rules.KIND_LATER, ("kind",), f"kind {kind} is not supported yet; keep it outside the configured path")
    elif near := _nearest_kind(kind, known):
        r.note(rules.KIND_UNKNOWN, ("kind",), f'kind "{kind}" is not known; did you mean "{near}"?')
    elif wanted == LINECLEAR_API:
        r.note(rules.KIND_UNKNOWN, ("kind",), f'kind "{kind}" is not known; use one of {", ".join(sorted(known))}')


def _nearest_kind(kind: str, known: Iterable[str]) -> str:
    by_lower = {name.lower(): name for name in sorted(known)}
    near = difflib.get_close_matches(kind.lower(), by_lower, n=1, cutoff=0.9)
    return by_lower[near[0]] if near else ""


def _decode(r: Reading, path: str, raw: RawDocument, kind: Kind, positions: Positions) -> Document:
    body: dict[str, Any] = raw.data
    text = _canonical(body)
    r.may_read_results = "result" in text
    fields = r.fields(body, (), schema.CONFIG_MAP if kind is Kind.CONFIG_MAP else schema.DOCUMENT)
    metadata = read_metadata(r, fields.get("metadata"), kind)
    spec: WorkflowSpec | None = None
    cron: CronSpec | None = None
    own: OwnKind | None = None
    data: Mapping[str, str] = {}
    if kind is Kind.CONFIG_MAP:
        data = r.text_map(fields.get("data"), ("data",))
    elif kind is Kind.CRON_WORKFLOW:
        cron, spec = read_cron(r, fields.get("spec"), ("spec",))
    elif kind in _OWN_KINDS:
        own = read_own_kind(r, kind, fields.get("spec"))
    else:
        spec = read_spec(r, fields.get("spec"), ("spec",), needs_entrypoint=kind is Kind.WORKFLOW)
    line, column = unpack(raw.spots[0])
    return Document(
        kind=kind,
        namespace=metadata.namespace,
        name=metadata.name,
        generate_name=metadata.generate_name,
        labels=metadata.labels,
        annotations=metadata.annotations,
        place=Place(path=path, line=line, column=column),
        index=raw.index,
        digest=sha256(text.encode()).hexdigest(),
        body=body,
        spec=spec,
        cron=cron,
        data=data,
        own=own,
        positions=positions,
    )


def content_digest(body: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of the canonical JSON of `body`: sorted keys, no spaces, ASCII."""
    return sha256(_canonical(body).encode()).hexdigest()


def _canonical(body: Mapping[str, Any]) -> str:
    return json.dumps(body, sort_keys=True, separators=(",", ":"))
