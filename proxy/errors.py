"""The errors that cross floors. `wire/*/errors.py` turn a fault into their protocol's code."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, unique
from typing import ClassVar


@unique
class Fault(Enum):
    """What went wrong, in the words of no protocol."""

    INTERNAL = "internal"
    PROTOCOL_VIOLATION = "protocol_violation"
    MESSAGE_TOO_LARGE = "message_too_large"
    UNSUPPORTED = "unsupported"
    AUTHENTICATION_FAILED = "authentication_failed"
    INVALID_AUTHORIZATION = "invalid_authorization"
    UNKNOWN_DATABASE = "unknown_database"  # in a server's words only
    TOO_MANY_CLIENTS = "too_many_clients"
    POOL_TIMEOUT = "pool_timeout"
    NO_PRIMARY = "no_primary"
    SERVER_LOST = "server_lost"
    OUTCOME_UNKNOWN = "outcome_unknown"
    SHUTTING_DOWN = "shutting_down"
    IDLE_TIMEOUT = "idle_timeout"
    IDLE_TRANSACTION_TIMEOUT = "idle_transaction_timeout"
    UNKNOWN_PREPARED_STATEMENT = "unknown_prepared_statement"
    INVALID_SETTING = "invalid_setting"
    UNKNOWN_SETTING = "unknown_setting"
    CANCELLED = "cancelled"
    NOT_SERIALIZABLE = "not_serializable"
    REJECTED = "rejected"
    FAILED_TRANSACTION = "failed_transaction"


class ProxyError(Exception):
    """The root; never raised itself."""


class ConfigError(ProxyError):
    """A configuration that can't be used. Holds every problem found, not the first.

    Args:
        problems: One line each: the path in the file, what is wrong, what is allowed.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class CannotListen(ProxyError):
    """A port that can't be opened. Names the setting and the address."""


class Unanswerable(ProxyError):
    """What an operator asks on the command line, and can't be told. Says why, in one line."""


class InternalError(ProxyError):
    """Our own bug: logged with its traceback; the client is told an id and nothing else."""


class ClientVisibleError(ProxyError):
    """An error whose text is meant for the client.

    Args:
        message: The fact, the limit and the name; never a secret.
    """

    fault: Fault = Fault.INTERNAL
    closes_client: ClassVar[bool] = False

    def __init__(self, message: str, *, detail: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.hint = hint


class LocalProtocolError(ClientVisibleError):
    """We were about to say something the protocol does not allow."""

    fault = Fault.INTERNAL
    closes_client = True


class RemoteProtocolError(ClientVisibleError):
    """The peer said something the protocol does not allow."""

    fault = Fault.PROTOCOL_VIOLATION
    closes_client = True


class MessageTooLarge(RemoteProtocolError):
    """The peer announced a message past the limit."""

    fault = Fault.MESSAGE_TOO_LARGE


class Unsupported(ClientVisibleError):
    """Something that a server would do and the proxy does not."""

    fault = Fault.UNSUPPORTED


class UnsupportedVersion(RemoteProtocolError):
    """The peer speaks a version of the protocol that is not known here."""

    fault = Fault.UNSUPPORTED


class InvalidSetting(ClientVisibleError):
    """A setting with a value it can't have, or none."""

    fault = Fault.INVALID_SETTING


class UnknownSetting(ClientVisibleError):
    """A setting that there is not."""

    fault = Fault.UNKNOWN_SETTING


class AuthenticationFailed(ClientVisibleError):
    """A wrong password, or none of the methods allowed."""

    fault = Fault.AUTHENTICATION_FAILED
    closes_client = True


class InvalidAuthorization(AuthenticationFailed):
    """The login itself is wrong, whatever the password: no user, or not by this way."""

    fault = Fault.INVALID_AUTHORIZATION


class ServerRefused(ClientVisibleError):
    """A server did not let us in.

    Attributes:
        is_full: Whether it has no room for one more, be it of this user only.
        is_passing: Whether it can't let anybody in just now: it starts, or stops.
    """

    fault = Fault.INVALID_AUTHORIZATION
    closes_client = True

    @property
    def is_full(self) -> bool:
        """See the class."""
        return False

    @property
    def is_passing(self) -> bool:
        """See the class."""
        return False


class TooManyWaiting(ClientVisibleError):
    """`max_client_conn` is reached."""

    fault = Fault.TOO_MANY_CLIENTS
    closes_client = True


class PoolTimeout(ClientVisibleError):
    """No server connection came free within `query_wait_timeout`."""

    fault = Fault.POOL_TIMEOUT


class NoPrimary(ClientVisibleError):
    """No server of the group is a primary that answers."""

    fault = Fault.NO_PRIMARY


class ServerLost(ClientVisibleError):
    """The server connection broke while the statement ran."""

    fault = Fault.SERVER_LOST
    closes_client = True


class OutcomeUnknown(ServerLost):
    """The server connection broke while a commit was under way: it may have happened."""

    fault = Fault.OUTCOME_UNKNOWN


class ShuttingDown(ClientVisibleError):
    """The proxy is stopping."""

    fault = Fault.SHUTTING_DOWN
    closes_client = True


class Cancelled(ClientVisibleError):
    """The client asked on another connection that its statement be stopped."""

    fault = Fault.CANCELLED


class UnknownStatement(ClientVisibleError):
    """A client ran a prepared statement that it has not prepared."""

    fault = Fault.UNKNOWN_PREPARED_STATEMENT


class NotSerializable(ClientVisibleError):
    """A transaction has read what was written since: it must be tried again."""

    fault = Fault.NOT_SERIALIZABLE


class Rejected(ClientVisibleError):
    """A rule says that the statement is not to be run."""

    fault = Fault.REJECTED


class FailedTransaction(ClientVisibleError):
    """Nothing can be set in a transaction that has failed."""

    fault = Fault.FAILED_TRANSACTION


class IdleTimeout(ClientVisibleError):
    """`client_idle_timeout` is over."""

    fault = Fault.IDLE_TIMEOUT
    closes_client = True


class IdleTransactionTimeout(ClientVisibleError):
    """`idle_transaction_timeout` is over."""

    fault = Fault.IDLE_TRANSACTION_TIMEOUT
    closes_client = True
