"""Run MySQL Connector/Python's own tests, in their folder, by their runner, with a report."""

import sys

sys.path.insert(0, ".")

import unittests
from reporting import Reporting

unittests.BasicTestRunner.resultclass = Reporting
unittests.main()
