"""The shop for a WSGI server: Django's handler, and the one line around it that makes its endpoints callable in the
background."""

import os

from django.core.wsgi import get_wsgi_application

from bgrs_middleware import Settings
from bgrs_middleware.wsgi import BgrsMiddleware

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")

application = BgrsMiddleware(get_wsgi_application(), settings=Settings.from_env())
