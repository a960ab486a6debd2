"""Datasette, unmodified, with the middleware's one line around it. Its database is named by the environment."""

import os

from datasette.app import Datasette

from bgrs_middleware import Settings
from bgrs_middleware.asgi import BgrsMiddleware

app = BgrsMiddleware(Datasette([os.environ["TEST_DATABASE"]]).app(), settings=Settings.from_env())
