"""As `_compat`."""


def int2byte(i):
    return bytes((i,))


def byte2int(b):
    return b if isinstance(b, int) else b[0]
