"""A test runner for Django that writes down what became of each test."""

from django.test.runner import DiscoverRunner
from reporting import Reporting


class ReportingRunner(DiscoverRunner):
    """Django's own, with a report."""

    def get_resultclass(self):
        return Reporting
