"""Breaks real servers and workers on purpose, and counts what became of the requests they had acknowledged.

One command, `python -m reliability`, prints one card: the commit, each fault with how often it was tried and how often
the promise did not hold, and the bound that follows. docs/reliability.md says what is promised and what is covered.
"""

from __future__ import annotations
