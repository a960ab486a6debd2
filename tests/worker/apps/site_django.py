"""Django behind WSGI and ASGI, the middleware around its handler."""

from __future__ import annotations

import os

from django.conf import settings

settings.configure(SECRET_KEY="s" * 50, ROOT_URLCONF="site_django", ALLOWED_HOSTS=["*"])

from django.core.asgi import get_asgi_application  # noqa: E402  # Django wants its settings first
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402

from bgrs_middleware import Settings  # noqa: E402
from bgrs_middleware.asgi import BgrsMiddleware as AsgiMiddleware  # noqa: E402
from bgrs_middleware.wsgi import BgrsMiddleware as WsgiMiddleware  # noqa: E402


@csrf_exempt
def told(request):
    return JsonResponse({"pid": os.getpid(), "path": request.path})


urlpatterns = [path("told", told)]
wsgi = WsgiMiddleware(get_wsgi_application(), settings=Settings.from_env())
asgi = AsgiMiddleware(get_asgi_application(), settings=Settings.from_env())
