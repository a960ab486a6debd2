"""The shop for an ASGI server: Django's handler, and the one line around it that makes its endpoints callable in the
background."""

import os

from django.core.asgi import get_asgi_application

from bgrs_middleware import Settings
from bgrs_middleware.asgi import BgrsMiddleware

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")

application = BgrsMiddleware(get_asgi_application(), settings=Settings.from_env())
