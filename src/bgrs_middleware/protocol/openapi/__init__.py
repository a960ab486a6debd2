"""All routes of ours, described for programs: the OpenAPI 3.1 document of `GET /bgrs/openapi.json`.

It depends on the settings alone, and is made once. `paths.py` has the routes, `parts.py` what they share, `schemas.py`
the documents. Every component's name begins with `Bgrs`, so that an application can take them over into a document of
its own.
"""

from .document import openapi_document, openapi_reply

__all__ = ["openapi_document", "openapi_reply"]
