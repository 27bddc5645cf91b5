"""What the tests of PyMySQL 0.10 ask of the package, which has it no more."""

PY2 = False
CPYTHON = True
text_type = str
long_type = int
