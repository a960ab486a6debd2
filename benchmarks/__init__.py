"""Measures what this package promises about its cost, side by side with what the promise is compared with.

`python -m benchmarks` from the repository's root; see `docs/benchmarks.md` for what each figure means. Everything runs
on loopback, in folders that are removed at the end, for a bounded time. Linux only (epoll, /proc).
"""
