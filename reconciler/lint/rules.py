"""The numbered rules across templates and documents, and the registry of all rules with those of `reconciler.manifest.rules`.

Owns ids, titles and advice only; never decides whether a rule is broken. Ids are never given to another rule.
"""

from __future__ import annotations

from reconciler.manifest import rules as reading
from reconciler.manifest.rules import Rule
from reconciler.model.spec import Severity

_ERROR, _WARNING, _NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE


def _rule(rule_id: str, severity: Severity, title: str, advice: str) -> Rule:
    return Rule(id=rule_id, severity=severity, title=title, advice=advice)


SAME_IDENTITY = _rule(
    "LC401", _ERROR, "Two documents have one kind, namespace and name", "Rename one; what was live stays live until then."
)
NO_TEMPLATE = _rule("LC402", _ERROR, "A template that is called does not exist", "Define it, or correct the name.")
NO_WORKFLOW_TEMPLATE = _rule(
    "LC403",
    _ERROR,
    "The WorkflowTemplate or ClusterWorkflowTemplate that is referred to is nowhere known",
    "Add it; a WorkflowTemplate in the same namespace.",
)
NO_DEPENDENCY = _rule("LC404", _ERROR, "A task depends on a task that does not exist", "Correct the name.")
DEPENDENCY_CYCLE = _rule("LC405", _ERROR, "Tasks wait for each other in a circle", "Remove one of the dependencies.")
RECURSION = _rule("LC406", _WARNING, "A template calls itself, and no condition ends it", "Add a when to one of the calls.")
UNREACHABLE = _rule("LC407", _WARNING, "A template is never called", "Call it or remove it.")
NO_INPUT = _rule("LC408", _ERROR, "A required input gets no value", "Give it under arguments.parameters, or give it a default.")
EXTRA_ARGUMENT = _rule("LC409", _WARNING, "An argument is not an input of the template", "Remove it, or declare the input.")
NO_ARGUMENT = _rule(
    "LC410", _ERROR, "A workflow's parameter has no value", "Give it a value or a default, or submit it with -p NAME=VALUE."
)
NOT_IN_ENUM = _rule("LC411", _ERROR, "A value is not in the parameter's enum", "Use one of the values listed there.")
GLOBAL_TWICE = _rule("LC412", _WARNING, "Two outputs have one globalName", "Rename one: the value set last stays.")

TAG = _rule("LC420", _ERROR, "A {{tag}} has no value where it stands", "Correct the name, or declare the parameter.")
TAG_IN_SCRIPT = _rule(
    "LC421",
    _WARNING,
    "A {{tag}} stands inside shell or script text, where its value becomes code",
    'Pass the value as an environment variable under env, and write "$NAME" in the script.',
)
EXPRESSION = _rule(
    "LC422", _ERROR, "An expression or a condition cannot be read, or calls no function", "Mend it at the column that is named."
)
UNDECLARED = _rule(
    "LC423",
    _WARNING,
    "A template of others uses a workflow parameter that its document does not declare",
    "Declare it; else every workflow that uses the template must.",
)
SLIP = _rule(
    "LC424", _WARNING, "A {{tag}} is no variable but nearly one: it stays as it is", "Correct the first word of its name."
)
UNCLOSED = _rule("LC425", _WARNING, "The braces of a {{tag}} are never closed: it stays as it is", "Close them with }}.")

LOCK_NAME = _rule("LC501", _ERROR, "A lock has no usable name", "Give it a name; every tag in it needs a value.")
LOCK_TWICE = _rule("LC502", _ERROR, "One synchronization block names a lock twice", "Remove one of the two.")
LOCK_HELD = _rule(
    "LC503",
    _WARNING,
    "A lock is already held by an enclosing workflow or template, so Argo would wait for ever",
    "Remove the inner one: here it takes no unit.",
)
NO_LIMIT = _rule("LC504", _WARNING, "A semaphore's ConfigMap or key is not known", "Add the ConfigMap with the key.")
BAD_LIMIT = _rule("LC505", _ERROR, "A semaphore's limit is not a whole number", "Write a number of 0 or more, in quotes.")
LOCK_ORDER = _rule(
    "LC506",
    _WARNING,
    "Runs can come to wait for each other's locks for ever",
    "Take the locks in one synchronization block, or in the same order everywhere.",
)
LOCK_SPELLING = _rule(
    "LC507", _WARNING, "A lock's name has characters that cannot be seen or told apart", "Write it in plain characters."
)
LOCK_NEAR = _rule(
    "LC508",
    _WARNING,
    "A lock's name is nearly another's: only case, '-', '_' or '.' differ, or one letter of a name used once",
    "Write one name if one lock is meant.",
)
LOCK_SINGLE = _rule(
    "LC509", _NOTE, "A mutex is named once, by a workflow that runs once", "Remove it, or correct the name."
)
LOCK_KINDS = _rule("LC510", _NOTE, "Locks of two kinds have one name", "Name one otherwise.")
DEPLOYMENT = _rule(
    "LC511", _ERROR, "The annotations of a deployment do not go together", "Name service and infrastructure both, each once."
)
NO_INFRASTRUCTURE = _rule("LC512", _ERROR, "An InfrastructureDefinition is not known", "Add it, or correct the name.")
NO_CONSTRAINT = _rule("LC513", _ERROR, "A ResourceConstraint is not known", "Add it, or correct the name.")
TOO_MANY_UNITS = _rule("LC514", _ERROR, "More units are wanted than a constraint has", "Take fewer, or raise the capacity.")
TWO_CLAIMS = _rule(
    "LC515",
    _WARNING,
    "A workflow with a pre-deployment takes locks of its own before it, and infrastructure after it",
    "Take the locks in a template, or do without one of the two.",
)
MANY_LOCKS = _rule(
    "LC516",
    _WARNING,
    "One block wants more locks than a claim may have unless the setting limits.locks is raised",
    "Take one lock for what they stand for together, or raise the setting.",
)

BARRIER_ORDER = _rule(
    "LC520", _ERROR, "Workflows of one pipeline come to their barriers in crossed orders", "Meet in one order everywhere."
)
BARRIER_LOCK = _rule(
    "LC521",
    _ERROR,
    "A lock is held at a barrier, and another workflow of the pipeline needs it to come there",
    "Let go of it before the barrier, or take it after.",
)
BARRIER = _rule(
    "LC522", _ERROR, "What is annotated as a barrier cannot be one", "Annotate a plain suspend template that a step calls."
)

SCHEDULE = _rule("LC601", _ERROR, "A schedule cannot be read", "Write five fields, @hourly and the like, or @every DURATION.")
TIME_ZONE = _rule("LC602", _ERROR, "A time zone is not known", "Use an IANA name such as Europe/Berlin.")

IMAGE = _rule(
    "LC701", _ERROR, "Nothing says what to run: there is no command", "Add a command, or give the image one in the settings."
)
IMAGE_ON_HOST = _rule(
    "LC702", _WARNING, "An image is not mapped: its command runs on this machine", "Map the image in the settings under [images]."
)
IMAGE_REFUSED = _rule(
    "LC703", _ERROR, "An image is not mapped, and the settings allow only mapped ones", "Map the image under [images]."
)

ANNOTATION = _rule(
    "LC801", _ERROR, "A lineclear.dev annotation is unknown or not supported yet", "Remove it, or correct its name."
)
ANNOTATION_VALUE = _rule("LC802", _ERROR, "A lineclear.dev annotation has a value that means nothing", "Use a value named.")
GROUP_KEY = _rule(
    "LC803",
    _ERROR,
    "A concurrency-key names no group",
    "Write what its runs have in common; of tags only {{workflow.parameters.NAME}}, with a declared parameter.",
)
IDLE_ANNOTATION = _rule(
    "LC804", _WARNING, "A lineclear.dev annotation does nothing where it stands", "Move it, or remove it, as the message says."
)

FILE = _rule("LC900", _ERROR, "A file cannot be read", "Mend what the system says of it.")
LINK = _rule(
    "LC901", _ERROR, "A symbolic link stands where a manifest was", "Copy the manifest, or ignore the link: none is followed."
)
SUBMODULE = _rule("LC902", _WARNING, "A submodule is not read", "Leave it out, or ignore it.")
FILE_NAME = _rule("LC903", _ERROR, "A file's name is not short, printable UTF-8", "Rename the file.")
FILE_SIZE = _rule("LC904", _ERROR, "A manifest file is too large", "Split it, or ignore it.")
LFS_POINTER = _rule(
    "LC905", _ERROR, "A Git LFS pointer stands where a manifest was", "Commit the manifest itself."
)
FILE_ENDING = _rule(
    "LC906", _ERROR, "A manifest's name ends in capitals, as X.YAML does", "Rename it to .yaml, .yml or .json."
)
MISTAKE = reading.MISTAKE
UNCHECKED = _rule(
    "LC911",
    _ERROR,
    "A rule could not be applied to a document, by a mistake of ours",
    "Report it with its reference. All other rules were applied; push with -o receive.lineclear=warn to apply the document.",
)
UNCHECKED_SET = _rule(
    "LC912",
    _WARNING,
    "A rule across documents could not be applied, by a mistake of ours that no one document brings about",
    "Report it with its reference. All other rules were applied.",
)
NOT_APPLIED = _rule(
    "LC913",
    _ERROR,
    "A document could not be applied, by a mistake of ours",
    "Report it with its reference. What was live of it stays live; it is tried again with the next push.",
)

RULES: tuple[Rule, ...] = (
    *reading.RULES,
    SAME_IDENTITY,
    NO_TEMPLATE,
    NO_WORKFLOW_TEMPLATE,
    NO_DEPENDENCY,
    DEPENDENCY_CYCLE,
    RECURSION,
    UNREACHABLE,
    NO_INPUT,
    EXTRA_ARGUMENT,
    NO_ARGUMENT,
    NOT_IN_ENUM,
    GLOBAL_TWICE,
    TAG,
    TAG_IN_SCRIPT,
    EXPRESSION,
    UNDECLARED,
    SLIP,
    UNCLOSED,
    LOCK_NAME,
    LOCK_TWICE,
    LOCK_HELD,
    NO_LIMIT,
    BAD_LIMIT,
    LOCK_ORDER,
    LOCK_SPELLING,
    LOCK_NEAR,
    LOCK_SINGLE,
    LOCK_KINDS,
    DEPLOYMENT,
    NO_INFRASTRUCTURE,
    NO_CONSTRAINT,
    TOO_MANY_UNITS,
    TWO_CLAIMS,
    MANY_LOCKS,
    BARRIER_ORDER,
    BARRIER_LOCK,
    BARRIER,
    SCHEDULE,
    TIME_ZONE,
    IMAGE,
    IMAGE_ON_HOST,
    IMAGE_REFUSED,
    ANNOTATION,
    ANNOTATION_VALUE,
    GROUP_KEY,
    IDLE_ANNOTATION,
    FILE,
    LINK,
    SUBMODULE,
    FILE_NAME,
    FILE_SIZE,
    LFS_POINTER,
    FILE_ENDING,
    MISTAKE,
    UNCHECKED,
    UNCHECKED_SET,
    NOT_APPLIED,
)


def rules_page() -> str:
    """The text of docs/reference/lint-rules.md: every rule in the order of its number."""
    lines = [
        "# Lint rules",
        "",
        "Every check of a manifest has a number that never changes its meaning. An error refuses the document; a warning is",
        "told and changes nothing. `lineclear lint PATH...` runs them all, and so does every push. A note may well be meant so:",
        "it is told by `lineclear lint --notes` only. A finding is `path:line:column: error LC104: what is wrong; what to do`.",
    ]
    group = ""
    for rule in RULES:
        if rule.id[2] != group:
            group = rule.id[2]
            lines += ["", f"## {_GROUPS[group]}", "", "| rule | | what is wrong | what to do |", "|---|---|---|---|"]
        lines.append(f"| {rule.id} | {rule.severity} | {rule.title} | {rule.advice} |")
    return "\n".join(lines) + "\n"


_GROUPS = {
    "0": "Text",
    "1": "Documents",
    "2": "Fields",
    "3": "Ignored",
    "4": "References and tags",
    "5": "Locks",
    "6": "Schedules",
    "7": "Programs",
    "8": "Annotations",
    "9": "Files, and mistakes of ours",
}
