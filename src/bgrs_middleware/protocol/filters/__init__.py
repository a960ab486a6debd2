"""Filters of operations (AIP-160; CONTRACT, section 5): from a client's text to conditions on records.

`condition_of(text)` reads a filter, or refuses it with the position, the field and what is allowed; `matches(condition,
record)` evaluates it. `tokens` and `grammar` know the language, `meaning` the fields, `matching` the records. A store
may compile the same conditions to a query of its own. Read in linear time, bounded in length, depth and comparisons.
"""

from .matching import Condition, matches
from .meaning import condition_of

__all__ = ["Condition", "condition_of", "matches"]
