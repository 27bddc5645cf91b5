"""From a TOML file to one validated `Settings`, or to every problem there is.

Variables are filled in first; then each value is checked by itself; then what is
left, with defaults in the places of the wrong values, is checked as a whole.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Final

from pydantic import SecretStr, TypeAdapter, ValidationError

from proxy.errors import ConfigError
from proxy.settings.checks import check
from proxy.settings.model import STREAMS, Settings
from proxy.settings.problems import Problem, Where, explain, find
from proxy.settings.stores import passwords_of
from proxy.settings.values import Engine

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SETTINGS: Final = TypeAdapter(Settings)

LISTEN: Final = {Engine.MYSQL.value: "127.0.0.1:6033"}
"""Where clients connect, for engines that have a port of their own."""


def load(path: Path, environment: Mapping[str, str] | None = None) -> Settings:
    """Read and check a configuration file.

    Args:
        path: Paths in the file are relative to its folder.
        environment: Where `${NAME}` is looked up; the process's own when not given.

    Raises:
        ConfigError: With every problem found.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise ConfigError([f"{path}: is not UTF-8 text"]) from None
    try:
        return parse(text, os.environ if environment is None else environment, base=path.parent)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"{path}: {error}"]) from None


def parse(text: str, environment: Mapping[str, str], *, base: Path = Path()) -> Settings:
    """Check the text of a configuration file.

    Args:
        text: TOML.
        environment: Where `${NAME}` is looked up.
        base: The folder that relative paths start from.

    Raises:
        ConfigError: With every problem found.
        tomllib.TOMLDecodeError: The text isn't TOML.
    """
    raw = tomllib.loads(text)
    problems: list[Problem] = []
    data = _expand(raw, environment, (), problems)
    _prune(data, problems)
    problems += _prepare(data, base)
    settings = _validate(data, raw, problems)
    problems += check(settings, {problem.where for problem in problems})
    if problems:
        raise ConfigError([str(problem) for problem in problems])
    return settings


def secrets(settings: object) -> Iterator[str]:
    """Yield every secret text of the settings, for what must never be printed."""
    if isinstance(settings, SecretStr):
        secret = settings.get_secret_value()
        yield secret
        yield from passwords_of(secret)
    elif isinstance(settings, dict):
        for value in settings.values():
            yield from secrets(value)
    elif is_dataclass(settings):
        for field in fields(settings):
            value = getattr(settings, field.name)
            if not field.name.endswith("_url") or _has_password(value):
                yield from secrets(value)


def _has_password(url: SecretStr | None) -> bool:
    """Tell if an address must not be shown: who is to find out what is wrong needs to see it."""
    return url is not None and any(passwords_of(url.get_secret_value()))


def _expand(
    value: object, environment: Mapping[str, str], where: Where, problems: list[Problem]
) -> object:
    """Copy a tree with its `${NAME}` filled in."""
    if isinstance(value, dict):
        return {
            key: _expand(item, environment, (*where, key), problems) for key, item in value.items()
        }
    if isinstance(value, list):
        return [
            _expand(item, environment, (*where, number), problems)
            for number, item in enumerate(value)
        ]
    if not isinstance(value, str):
        return value
    for name in _VARIABLE.findall(value):
        if name not in environment:
            problems.append(Problem(where, f"the environment variable {name} is not set"))
    return _VARIABLE.sub(lambda match: environment.get(match[1], ""), value)


def _prepare(data: object, base: Path) -> Iterator[Problem]:
    """Give each group its name and its port, and each relative path its folder."""
    log = find(data, ("log",))
    if isinstance(log, dict) and isinstance(log.get("destination"), str):
        log["destination"] = _destination(log["destination"], base)
    groups = find(data, ("server_groups",))
    if not isinstance(groups, dict):
        return
    for name, group in groups.items():
        if not isinstance(group, dict):
            continue
        if "name" in group:
            yield Problem(("server_groups", name, "name"), "unknown setting")
        group["name"] = name
        if (listen := LISTEN.get(str(group.get("engine")))) is not None:
            group.setdefault("listen", listen)
        for key, value in group.items():
            if key.endswith(("_file", "_dir")) and isinstance(value, str):
                group[key] = str(base / value)


def _destination(destination: str, base: Path) -> str:
    return destination if destination in STREAMS else str(base / destination)


def _validate(data: object, raw: object, problems: list[Problem]) -> Settings:
    """Check each value by itself; the wrong ones are reported and left out."""
    try:
        return _SETTINGS.validate_python(data)
    except ValidationError as error:
        found = explain(error, raw)
    _prune(data, found)
    problems += found
    return _SETTINGS.validate_python(data)


def _prune(data: object, problems: list[Problem]) -> None:
    """Take wrong values out of the tree; a list or a table's entry goes as a whole."""
    for problem in problems:
        *steps, last = problem.where
        table = find(data, tuple(steps))
        while not isinstance(table, dict):
            *steps, last = steps
            table = find(data, tuple(steps))
        table.pop(last, None)
