"""httpbin, unmodified, with the middleware's one line around it."""

from httpbin import app

from bgrs_middleware import Settings
from bgrs_middleware.wsgi import BgrsMiddleware

app.wsgi_app = BgrsMiddleware(app.wsgi_app, settings=Settings.from_env())
