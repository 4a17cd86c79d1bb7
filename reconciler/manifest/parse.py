"""One blob to what it holds: which documents are ours, their values, and every problem with its place.

Owns the meaning of "bad file" and the boundary around each file and document. It never applies anything and never raises for
bad input, nor for a mistake of ours.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any

from reconciler.errors import LineclearError
from reconciler.manifest import rules, schema
from reconciler.manifest.decode import read_cron, read_metadata, read_spec
from reconciler.manifest.kinds import LISTED, OWN_KINDS, kind_of
from reconciler.manifest.lists import parts_of
from reconciler.manifest.mistakes import mistake_finding
from reconciler.manifest.own_kinds import read_own_kind
from reconciler.manifest.positions import Positions, unpack
from reconciler.manifest.reading import Reading, one_line
from reconciler.manifest.text import Problem, RawDocument, UnreadableText, read_documents
from reconciler.model.cron import CronSpec
from reconciler.model.own_kinds import OwnKind
from reconciler.model.spec import Document, Finding, Kind, ParsedFile, Place, WorkflowSpec

MAX_FINDINGS = 1000
OUR_NAMES = (b"argoproj.io/", b"lineclear.dev/")

_LARGE = 64 << 10  # bytes: below that reading costs less than it would to be sure
_WORDS = re.compile(
    rb"argoproj|lineclear|configmap|secret|workflow|lockpolicy|resourceconstraint|infrastructuredefinition|\\[xu][0-9a-f]{2}",
    re.IGNORECASE,
)
_Findings = list[Finding]


def parse_file(path: str, blob_sha: str, data: bytes, *, held_before: bool = False) -> ParsedFile:
    """All documents of ours in one file, the number of foreign ones, and one finding for every problem.

    A file that cannot be read as YAML or JSON is an error only if its bytes name one of our API groups, or if it held a
    document of ours before (`held_before`); else it counts as one foreign document. Large ones are not even tried then.
    Whatever goes wrong in here for another reason is a finding as well, on the document where it did.
    """
    if len(data) > _LARGE and not held_before and not may_hold_ours(data):
        return ParsedFile(path=path, blob=blob_sha, documents=(), foreign=1, findings=())
    found = _Found(path)
    try:
        for raw in read_documents(data):
            if raw.data is not None or raw.problems:
                found.add(raw)
    except UnreadableText as error:
        if held_before or any(name in data for name in OUR_NAMES):
            found.findings.append(_of_problem(path, error.problem))
        else:
            found.forget_documents()
    except LineclearError:
        raise
    except Exception as error:  # noqa: BLE001 - the boundary of a file: whatever it is, other files are read
        place = Place(path=path, line=1, column=1)
        found.findings.append(mistake_finding(error, place, rules.MISTAKE, "the file cannot be read"))
    return ParsedFile(
        path=path,
        blob=blob_sha,
        documents=tuple(found.documents),
        foreign=found.foreign,
        findings=_capped(path, found.findings),
    )


def may_hold_ours(data: bytes) -> bool:
    """False for bytes that surely hold no document of ours, nor one that was meant to be: none of the words is there.

    A text of 16-bit characters, or one with characters written as numbers, may hold any word.
    """
    return _WORDS.search(data) is not None or data[:2] in (b"\xff\xfe", b"\xfe\xff")


class _Found:
    """What one file is found to hold, document by document."""

    def __init__(self, path: str) -> None:
        self.documents: list[Document] = []
        self.findings: _Findings = []
        self.foreign = 0
        self._path = path
        self._inside = 0  # how many documents the lists so far have had beyond their own place

    def add(self, raw: RawDocument) -> None:
        """One document, or all that are in it."""
        first, is_ours = replace(raw, index=raw.index + self._inside), False
        for part in parts_of(first, LISTED):
            self._inside = part.index - raw.index
            is_ours |= self._add_part(part)
        if is_ours:  # what is wrong with the text of a foreign document is not ours to judge
            self.findings += [_of_problem(self._path, problem) for problem in raw.problems]

    def _add_part(self, raw: RawDocument) -> bool:
        try:
            document, findings = _document(self._path, raw)
        except Exception as error:  # noqa: BLE001 - the boundary of a document: whatever it is, the others are read
            line, column = unpack(raw.spots[0])
            place = Place(path=self._path, line=line, column=column)
            document, findings = None, [mistake_finding(error, place, rules.MISTAKE, "the document cannot be read")]
        self.findings += findings
        self.documents += [document] if document is not None else []
        self.foreign += document is None and not findings
        return document is not None or bool(findings)

    def forget_documents(self) -> None:
        """The file as a whole is foreign, whatever seemed to be in its first documents; but for a Secret in them."""
        self.documents, self.foreign = [], 1
        self.findings = [finding for finding in self.findings if finding.rule == rules.SECRET.id]


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
    """The document if it is ours, and what is wrong with its fields; nothing of a foreign one."""
    if not isinstance(raw.data, dict):
        return None, []
    reading = Reading()
    kind = kind_of(reading, raw.data)
    if kind is None and not reading.notes:
        return None, []
    positions = Positions(raw.data, raw.spots)
    document = _decode(reading, path, raw, kind, positions) if kind is not None else None
    return document, _of_notes(path, reading, positions)


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
    elif kind in OWN_KINDS:
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
