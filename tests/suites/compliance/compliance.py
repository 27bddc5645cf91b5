"""SQLAlchemy's compliance suite, collected from where it is installed."""

from sqlalchemy.testing.suite import *  # noqa: F403
