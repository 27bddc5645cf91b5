"""The settings of Django's own tests: two databases of one server, and a runner that reports."""

import os

_SERVER = {
    "ENGINE": "django.db.backends.postgresql",
    "HOST": os.environ["PGHOST"],
    "PORT": os.environ["PGPORT"],
    "USER": os.environ["PGUSER"],
    "PASSWORD": os.environ["PGPASSWORD"],
}
DATABASES = {
    "default": {**_SERVER, "NAME": "django"},
    "other": {**_SERVER, "NAME": "django_other"},
}
SECRET_KEY = "of tests"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = False
TEST_RUNNER = "suite_runner.ReportingRunner"
