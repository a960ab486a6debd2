"""The forms of texts that settings take: paths, names, URLs. What each accepts in words, and as a regular expression.

Apart from `settings.py` because each is a line of its own kind, and one of them also checks what a function returns.
"""

from __future__ import annotations

from typing import Any

from .setting_kinds import Text, apply

_SEGMENT = r"(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~-]+"
PATH = Text(rf"(?:/{_SEGMENT})+", 'a path such as "/bgrs", that starts with "/" and does not end with it')
PARENT = Text(
    rf"(?=.{{1,200}}\Z){_SEGMENT}(?:/{_SEGMENT})*",
    'names with "/" between them, such as "projects/default", at most 200 characters',
)
PARAM = Text(r"(?!wait_for\Z)[^&=#%+\x00-\x20\x7f-\U0010ffff]+", 'an ASCII name without "&", "=", "#", "%" and "+"')
FIELD = Text(r"[^\x00-\x1f]+", "the name of a JSON field")
TYPE = Text(r"[!-~]{1,200}", 'a name such as "INVOICE_IMPORT", at most 200 ASCII characters')
URL = Text(
    r"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:/[!\"$-.0-9:-;=@A-Z_a-z~/-]*)?",
    'an absolute http or https URL such as "https://api.example.com", without user, query and fragment',
)


def checked_parent(returned: Any) -> str:
    """Return what the function `operations_parent` returned, if it is one.

    Raises:
        SettingsError: it is not of the form that the setting has as text.
    """
    parent: str = apply(PARENT, PARENT.check, "operations_parent()", returned)
    return parent
