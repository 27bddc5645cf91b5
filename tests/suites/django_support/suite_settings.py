"""The settings of Django's own tests: two databases of one server, and a runner that reports."""

import os

if "PGHOST" in os.environ:
    _ENGINE, _PREFIX = "postgresql", "PG"
else:
    _ENGINE, _PREFIX = "mysql", "MYSQL_SUITE_"

_SERVER = {
    "ENGINE": f"django.db.backends.{_ENGINE}",
    "HOST": os.environ[f"{_PREFIX}HOST"],
    "PORT": os.environ[f"{_PREFIX}PORT"],
    "USER": os.environ[f"{_PREFIX}USER"],
    "PASSWORD": os.environ[f"{_PREFIX}PASSWORD"],
}
DATABASES = {
    "default": {**_SERVER, "NAME": "django"},
    "other": {**_SERVER, "NAME": "django_other"},
}
if _ENGINE == "mysql":
    for database in DATABASES.values():
        database["TEST"] = {"CHARSET": "utf8mb4", "COLLATION": "utf8mb4_general_ci"}
SECRET_KEY = "of tests"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = False
TEST_RUNNER = "suite_runner.ReportingRunner"
