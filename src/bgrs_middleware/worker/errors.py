"""What ends a worker before it works, and the exit code that tells its supervisor whether another try may help."""

from __future__ import annotations


class WorkerError(Exception):
    """The worker cannot work now; one that is started later may. Exit code 1."""

    exit_code = 1


class CannotWork(WorkerError):
    """No worker can work like this: the command line, the application or its settings must be changed. Exit code 2."""

    exit_code = 2
