"""The one place where accepting, running, finishing, cancelling and answering are told.

`service.py` puts the parts of one process together; `accept.py` and `answers.py` are what clients cause, `runs.py` and
`outcome.py` what happens to a request afterwards. The stories are coroutines that only await `Pending`s, so that each
is told once for both gateways. Nothing else calls the store, the bodies or an executor.
"""
