"""Lets tox find the Pythons that pyenv has installed, whether they are switched on or not.

pyenv puts a `python3.12` before everything else on PATH that only says that 3.12 is not switched on. Behind everything
else, where this puts them, the real ones are found. Without pyenv nothing changes.
"""

from __future__ import annotations

import os
from pathlib import Path

from tox.config.sets import ConfigSet
from tox.plugin import impl
from tox.session.state import State


@impl
def tox_add_core_config(core_conf: ConfigSet, state: State) -> None:  # noqa: ARG001  # the hook's own arguments
    """Put pyenv's folders at the end of PATH, before tox looks for interpreters."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    folders = sorted(str(folder) for folder in root.glob("versions/3.*/bin"))
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), *folders])
