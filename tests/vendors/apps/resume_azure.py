"""Another process that goes on polling for one that is gone: prints the result, as JSON.

Standard input has the server's URL in its first line, and the continuation token in the second.
"""

from __future__ import annotations

import json
import sys

from vendors.azure_clients import client_of, polling, resumed

url, token = sys.stdin.read().splitlines()
print(json.dumps(resumed(client_of(url, "another"), token, polling()).result()))  # noqa: T201  # to print is what it is for
