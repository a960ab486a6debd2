"""What can go wrong with the demo, said in one sentence."""

from __future__ import annotations

from ..errors import BgrsError


class DemoError(BgrsError):
    """The demo cannot go on; its text is one sentence for whoever started it."""
