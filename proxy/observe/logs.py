"""Logs for people and machines: an event, and what belongs to it as key=value or JSON.

Standard `logging` underneath, so that libraries' records come out alike. Events are
constant texts, so they can be searched for; what differs is in fields. A logger's `debugs`
is a plain flag, since asking `logging` costs ten times as much.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final, final

from proxy.observe.redaction import Redactor
from proxy.settings import Log, LogFormat

NAME: Final = "tidegate"

_PLAIN = re.compile(r"[^\s\"=]+")

_loggers: list[Logger] = []
"""All there are, to be told when the level changes."""


@final
class Logger:
    """Writes events with fields: `log.info("server banned", server=server.name, seconds=5)`.

    Args:
        name: The part of the program, such as `runtime`.
    """

    __slots__ = ("_logger", "debugs")

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(f"{NAME}.{name}")
        self.debugs = False
        _loggers.append(self)
        self.refresh()

    def refresh(self) -> None:
        """Take note of the level that is in force now."""
        self.debugs = self._logger.isEnabledFor(logging.DEBUG)

    def debug(self, event: str, **fields: object) -> None:
        if self.debugs:
            self._logger.debug(event, extra={"fields": fields})

    def info(self, event: str, **fields: object) -> None:
        self._logger.info(event, extra={"fields": fields})

    def warning(self, event: str, **fields: object) -> None:
        self._logger.warning(event, extra={"fields": fields})

    def error(self, event: str, **fields: object) -> None:
        self._logger.error(event, extra={"fields": fields})

    def exception(self, event: str, error: BaseException, **fields: object) -> None:
        """Write a bug of ours, with its traceback."""
        self._logger.error(event, exc_info=error, extra={"fields": fields})


def configure(log: Log, secrets: Iterable[str] = (), *, worker: int | None = None) -> None:
    """Begin to write logs as the settings say; may be called again.

    Args:
        log: Level, format and destination.
        secrets: Texts that no line may hold.
        worker: The number of this process, which each line has, where there are several.

    Raises:
        OSError: The file can't be opened.
    """
    handler = _handler(log.destination)
    redactor = Redactor(secrets)
    is_json = log.format is LogFormat.JSON
    lines = JsonLines if is_json else KeyValues
    handler.setFormatter(lines(redactor, worker))
    root = logging.getLogger()
    for old in root.handlers[:]:
        if isinstance(old, _OURS):
            root.removeHandler(old)
            old.close()
    root.addHandler(handler)
    logging.getLogger(NAME).setLevel(log.level.name)
    for logger in _loggers:
        logger.refresh()


def reopen() -> None:
    """Open the file anew if it was moved away, be there a line to write or not."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _File):
            with suppress(OSError):  # the next line says so
                handler.reopenIfNeeded()


def connection_ended(
    log: Logger,
    *,
    reason: str,
    seconds: float,
    group: str,
    client: str,
    user: str | None,
    database: str | None,
    **fields: object,
) -> None:
    """Write the one line that each client connection leaves.

    Args:
        log: The listener's logger.
        reason: Why it ended, in words an operator can act on.
        seconds: How long it lasted.
        group: The server group.
        client: The client's address.
        user: None when it never got as far as saying.
        database: The same.
        fields: Counts: statements, hits, bytes.
    """
    log.info(
        "connection ended",
        group=group,
        client=client,
        user=user,
        database=database,
        reason=reason,
        seconds=round(seconds, 3),
        **fields,
    )


class _Console(logging.StreamHandler):  # type: ignore[type-arg]
    """Our handler for a stream, to be told from others'."""


class _File(logging.handlers.WatchedFileHandler):
    """Our handler for a file, which may be moved away under it.

    Where it can't be opened anew, lines go to stderr until it can: whoever writes one must go on.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path, encoding="utf-8")
        self._spare = _Console(sys.stderr)

    def setFormatter(self, fmt: logging.Formatter | None) -> None:  # noqa: N802
        super().setFormatter(fmt)
        self._spare.setFormatter(fmt)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            super().emit(record)
        except OSError:
            self._spare.emit(record)


_OURS = (_Console, _File)


def _handler(destination: str) -> logging.Handler:
    match destination:
        case "stderr":
            return _Console(sys.stderr)
        case "stdout":
            return _Console(sys.stdout)
        case path:
            return _File(path)


class _Lines(logging.Formatter):
    """One line for each record, and no secret in it."""

    def __init__(self, redactor: Redactor, worker: int | None = None) -> None:
        super().__init__()
        self._redactor = redactor
        self._worker = worker

    def fields(self, record: logging.LogRecord) -> dict[str, object]:
        """Return what a line tells, in order, without secrets."""
        clean = self._redactor.clean_field
        fields: dict[str, object] = {
            "time": _time(record.created),
            "level": record.levelname.lower(),
            "event": clean("event", record.getMessage()),
            "logger": record.name.removeprefix(f"{NAME}."),
        }
        if self._worker is not None:
            fields["worker"] = self._worker
        own: dict[str, object] = getattr(record, "fields", {})
        fields |= {name: clean(name, value) for name, value in own.items() if value is not None}
        if record.exc_info:
            fields["traceback"] = clean("traceback", self.formatException(record.exc_info))
        return fields


@final
class KeyValues(_Lines):
    """For people: time, level, event, then key=value."""

    def format(self, record: logging.LogRecord) -> str:
        fields = self.fields(record)
        head = f"{fields.pop('time')} {str(fields.pop('level')).upper():7} {fields.pop('event')}"
        traceback = fields.pop("traceback", None)
        line = " ".join([head, *(f"{name}={_value(value)}" for name, value in fields.items())])
        # A peer's text must not be able to begin a line of its own.
        line = line.replace("\n", "\\n").replace("\r", "\\r")
        return line if traceback is None else f"{line}\n{traceback}"


@final
class JsonLines(_Lines):
    """For machines: one object a line."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(self.fields(record), ensure_ascii=False)


def _time(created: float) -> str:
    text = datetime.fromtimestamp(created, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def _value(value: object) -> str:
    """Quote what would not be read back as one word."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)
