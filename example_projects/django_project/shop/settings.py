"""Django's settings, as few as it runs with. Those of background requests are in the environment (`BGRS_...`)."""

import os

from django.core.management.utils import get_random_secret_key

SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY") or get_random_secret_key()
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "shop.urls"
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
# The largest upload that an import reads into memory.
DATA_UPLOAD_MAX_MEMORY_SIZE = 100 * 1024 * 1024
USE_TZ = True
