"""The numbered rules of reading a manifest: text, document, fields. `reconciler.lint.rules` has those across documents.

Owns ids, titles and advice only; never decides whether a rule is broken. Ids are never given to another rule.
"""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.model.spec import Severity

ERROR, WARNING = Severity.ERROR, Severity.WARNING


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One check: `id` is LC and three digits, `title` what is wrong, `advice` what to do about it."""

    id: str
    severity: Severity
    title: str
    advice: str


def _rule(rule_id: str, severity: Severity, title: str, advice: str) -> Rule:
    return Rule(id=rule_id, severity=severity, title=title, advice=advice)


SYNTAX = _rule("LC001", ERROR, "The file is not YAML or JSON", "Mend the text at the named place.")
LIMIT = _rule(
    "LC002",
    ERROR,
    "The file passes a limit on size, depth, nodes, aliases, anchors, documents or scalars",
    "Split the file; write repeated parts as templates instead of aliases.",
)
DUPLICATE_KEY = _rule("LC003", ERROR, "A key is given twice in one mapping", "Keep one of the two.")
BAD_KEY = _rule("LC004", ERROR, "A key is not a string", "Quote the key.")
BAD_VALUE = _rule("LC005", ERROR, "A value is something JSON cannot hold", "Quote the value, or use a tag that Kubernetes knows.")
BAD_ALIAS = _rule("LC006", ERROR, "An alias or a merge key refers to nothing usable", "Define the anchor before its use.")

KIND_LATER = _rule(
    "LC101", ERROR, "The kind is not supported yet", "Remove the document, or keep it outside the configured path."
)
KIND_UNKNOWN = _rule("LC102", ERROR, "The kind or the apiVersion is missing or unknown", "Spell kind and apiVersion as named.")
SECRET = _rule(
    "LC103",
    ERROR,
    "A Secret is in Git",
    "Take it out of the history, change the secret, and put it into the home's secrets.",
)
NAME = _rule("LC104", ERROR, "A name is missing or not allowed", "Use lower-case letters, digits and '-', as Kubernetes does.")

UNKNOWN_FIELD = _rule("LC201", ERROR, "A field does not exist in Argo's format", "Correct the spelling or the place.")
UNSUPPORTED = _rule(
    "LC202",
    ERROR,
    "A field or value would change the outcome and is not supported yet",
    "Remove it, or write the workflow without it.",
)
WRONG_TYPE = _rule("LC203", ERROR, "A value has the wrong type", "Write the type that is named.")
MISSING = _rule("LC204", ERROR, "A required field is missing", "Add the field.")
NOT_ALLOWED = _rule("LC205", ERROR, "A value is not one of those allowed", "Use one of the values that are named.")
LEGACY = _rule("LC206", WARNING, "A field has its legacy spelling", "Use the list form; Argo 4 drops the old one silently.")
OTHER_CASE = _rule("LC207", WARNING, "A field is written in another case", "Write it as Argo's documentation does.")
CONFLICT = _rule("LC208", ERROR, "Two fields exclude each other", "Keep one of them.")
DUPLICATE_NAME = _rule("LC209", ERROR, "A name is used twice in one list", "Give each its own name.")
BOOLEAN_NAME = _rule("LC210", WARNING, "A name is a word that YAML reads as true or false", "Quote the name.")
MANY_NODES = _rule(
    "LC211",
    WARNING,
    "A run or a loop has surely more nodes than it may have unless limits.nodes or limits.loop_items is raised",
    "Make fewer, in several runs or in steps that do more, or raise the setting.",
)

IGNORED = _rule(
    "LC301", WARNING, "A field makes sense only in a pod and is ignored", "Nothing, if the manifest is also used with Argo."
)

MISTAKE = _rule(
    "LC910",
    ERROR,
    "A file or document could not be read, by a mistake of ours",
    "Report it with its reference. What was live of it stays live, and other files are applied.",
)

RULES: tuple[Rule, ...] = (
    SYNTAX,
    LIMIT,
    DUPLICATE_KEY,
    BAD_KEY,
    BAD_VALUE,
    BAD_ALIAS,
    KIND_LATER,
    KIND_UNKNOWN,
    SECRET,
    NAME,
    UNKNOWN_FIELD,
    UNSUPPORTED,
    WRONG_TYPE,
    MISSING,
    NOT_ALLOWED,
    LEGACY,
    OTHER_CASE,
    CONFLICT,
    DUPLICATE_NAME,
    BOOLEAN_NAME,
    MANY_NODES,
    IGNORED,
)
