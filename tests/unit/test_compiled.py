"""What a compiled module may not say, since it would mean something else than interpreted."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.conftest import ROOT, compilable


def handlers_by_name(function: ast.AST) -> dict[str, list[int]]:
    """The lines of a function's `except ... as name`, by that name."""
    found: dict[str, list[int]] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.ExceptHandler) and node.name:
            found.setdefault(node.name, []).append(node.lineno)
    return found


def is_suspended(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether it stops in the middle, so that its names live on the heap, with one type each."""
    if isinstance(function, ast.AsyncFunctionDef):
        return True
    return any(isinstance(node, ast.Yield | ast.YieldFrom) for node in ast.walk(function))


@pytest.mark.parametrize(
    "source", compilable(), ids=lambda path: str(path.relative_to(ROOT / "proxy"))
)
def test_no_coroutine_catches_two_kinds_of_errors_by_one_name(source: Path) -> None:
    """Compiled, the second would be cast to the first's type, and be a TypeError instead."""
    for function in ast.walk(ast.parse(source.read_text())):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and is_suspended(function):
            for name, lines in handlers_by_name(function).items():
                assert len(lines) == 1, f"{function.name} binds {name} in lines {lines}"
