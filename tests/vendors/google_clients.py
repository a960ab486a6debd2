"""Clients of operations as Google's generated packages build them: google-api-core, unmodified, over plain HTTP.

`GoogleUser` is somebody with a client of their own; what they start comes back as the futures that those packages give.
"""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

# Whoever may get an answer that is no JSON object must have imported it: protobuf's JSON knows no other types.
import google.api.httpbody_pb2
import requests
from google.api_core import operation
from google.api_core.exceptions import GoogleAPICallError
from google.api_core.future.polling import DEFAULT_POLLING
from google.api_core.operations_v1 import AbstractOperationsClient, OperationsRestTransport
from google.auth.credentials import AnonymousCredentials
from google.longrunning import operations_pb2
from google.protobuf import json_format, struct_pb2

PARENT = "projects/default/locations/default"
LONGEST_SECONDS = 60.0
POLLING = DEFAULT_POLLING.with_delay(0.1, 0.3, 1.5).with_timeout(LONGEST_SECONDS)
"""As Google's, only more often."""

HttpBody = google.api.httpbody_pb2.HttpBody
Struct = struct_pb2.Struct


class GoogleUser:
    """Somebody whom the application knows, with a client of their own.

    Parameters:
        url: of the server.
        operations_path: the setting of that name.
    """

    def __init__(self, url: str, operations_path: str) -> None:
        self.name = uuid4().hex
        self.base = f"{url}{operations_path}"
        self.url = url
        self.metadata = (("x-user", self.name),)
        self.transport = OperationsRestTransport(
            host=url, credentials=AnonymousCredentials(), path_prefix=operations_path.removeprefix("/")
        )
        # A proxy that the environment names is none of a test's business.
        self.transport._session.trust_env = False
        self.client = AbstractOperationsClient(transport=self.transport)
        self.session = requests.Session()
        self.session.trust_env = False

    def close(self) -> None:
        """Close what is open."""
        self.transport._session.close()
        self.session.close()

    def send(self, method: str, url: str, body: Any = None) -> requests.Response:
        """Send a request of their own, as a generated method does."""
        return self.session.request(
            method, url, json=body, headers={"X-User": self.name}, timeout=LONGEST_SECONDS, allow_redirects=False
        )

    def ask(self, target: str) -> str:
        """Ask for a background request by the marker; returns the operation's name."""
        answer = self.send("POST", f"{self.url}{target}{'&' if '?' in target else '?'}bgrs=yes")
        assert answer.status_code == 202, answer.text
        return f"{PARENT}/operations/{answer.json()['request']}"

    def process(self, query: str = "", body: Any = None) -> Any:
        """Call the method that returns an operation, and read it as strictly as Google's packages do."""
        answer = self.send("POST", f"{self.url}/v1/projects/shop:batchProcess?{query}", body)
        assert answer.status_code == 200, answer.text
        return read_operation(answer.content)

    def get(self, name: str) -> Any:
        """The operation."""
        return self.client.get_operation(name, metadata=self.metadata)

    def future(self, started: operations_pb2.Operation, result_type: Any = Struct) -> Any:
        """What a generated method returns."""
        return operation.from_gapic(
            started,
            self.client,
            result_type,
            metadata_type=Struct,
            grpc_metadata=self.metadata,
            polling=POLLING,
        )


def read_operation(content: bytes) -> operations_pb2.Operation:
    """An operation from its JSON; a field that it has not is an error."""
    return json_format.Parse(content, operations_pb2.Operation(), ignore_unknown_fields=False)


def info_of(error: GoogleAPICallError) -> Any:
    """The ErrorInfo of an exception. Newer versions have its fields as attributes, older ones cannot read theirs."""
    (info,) = error.details
    return info


def plain(message: Any) -> Any:
    """A Struct as Python's own values."""
    return json.loads(json_format.MessageToJson(message))
