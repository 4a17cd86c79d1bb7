"""Every rule about manifests, numbered: what is wrong across documents, and the registry of all rules.

The room's face. It sees parsed files and live definitions as values; it never reads a disk, a clock or a setting.
"""

from reconciler.lint.check import lint_files
from reconciler.lint.others import LockUsers
from reconciler.lint.rules import RULES, rules_page
from reconciler.lint.scope import Known, KnownDefinition
from reconciler.lint.single import HOST_IMAGES

__all__ = ["HOST_IMAGES", "RULES", "Known", "KnownDefinition", "LockUsers", "lint_files", "rules_page"]
