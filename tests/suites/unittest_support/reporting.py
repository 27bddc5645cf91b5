"""A result of unittest that writes down what became of each test, as `read_lines` reads it."""

import json
import os
from unittest import TextTestResult


class Reporting(TextTestResult):
    """See the module."""

    def _note(self, test, outcome):
        with open(os.environ["OUTCOMES"], "a") as report:
            report.write(json.dumps([test.id(), outcome]) + "\n")

    def addSuccess(self, test):  # noqa: N802
        super().addSuccess(test)
        self._note(test, "passed")

    def addFailure(self, test, err):  # noqa: N802
        super().addFailure(test, err)
        self._note(test, "failed")

    def addError(self, test, err):  # noqa: N802
        super().addError(test, err)
        self._note(test, "failed")

    def addSkip(self, test, reason):  # noqa: N802
        super().addSkip(test, reason)
        self._note(test, "skipped")

    def addExpectedFailure(self, test, err):  # noqa: N802
        super().addExpectedFailure(test, err)
        self._note(test, "passed")

    def addUnexpectedSuccess(self, test):  # noqa: N802
        super().addUnexpectedSuccess(test)
        self._note(test, "failed")

    def addSubTest(self, test, subtest, err):  # noqa: N802
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._note(test, "failed")
