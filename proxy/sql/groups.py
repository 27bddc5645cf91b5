"""A fingerprint's tokens, nested by their brackets.

Everything that reads a statement here reads lists of items: a token as text, or a `Group` for
what stands in a pair of brackets. So a word that ends a clause is one that is in the list, and
never one that belongs to a subquery. How a fingerprint is cut into tokens, and which are names, is
told by each engine.
"""

from __future__ import annotations

from typing import ClassVar, Final, TypeAlias

from mypy_extensions import mypyc_attr

from proxy.types import Reason

MAX_DEPTH: Final = 100
"""Brackets within brackets: far above what people and mappers write, far below our stack."""

MAX_SUBSCRIPT_DEPTH: Final = 6
"""Arrays within arrays: six are the most that the server keeps (MAXDIM)."""

MAX_SUBSCRIPTS: Final = 12
"""Subscripts behind each other. The second reading takes the square of their number."""


class Group:
    """What stands in one pair of brackets.

    Attributes:
        bracket: The opening bracket.
        items: What is in it.
        start: The opening bracket's number among the statement's tokens.
        stop: The closing bracket's.
    """

    __slots__ = ("bracket", "items", "start", "stop")

    def __init__(self, bracket: str, start: int) -> None:
        """Open a bracket with nothing in it yet."""
        self.bracket = bracket
        self.items: list[Item] = []
        self.start = start
        self.stop = start


@mypyc_attr(native_class=False)
class Token(str):
    """A token that knows where it stands.

    Attributes:
        at: Its number among the statement's tokens.
    """

    __slots__ = ("at",)

    at: int


Item: TypeAlias = Token | Group


class NotUnderstood(Exception):
    """The text is not what the reader was written for; it is no read, whatever it is."""

    reason: ClassVar[Reason] = Reason.UNPARSED


def grouped(tokens: list[Token]) -> list[Item]:
    """Nest tokens by their brackets.

    Raises:
        NotUnderstood: Brackets do not match, or lie too deep in each other.
    """
    top = Group("", 0)
    open_groups = [top]
    for token in tokens:
        if token in ("(", "["):
            group = Group(token, token.at)
            open_groups[-1].items.append(group)
            open_groups.append(group)
            if len(open_groups) > MAX_DEPTH:
                raise NotUnderstood("brackets lie too deep in each other")
        elif token in (")", "]"):
            group = open_groups.pop()
            if group.bracket != ("(" if token == ")" else "["):
                raise NotUnderstood("brackets do not match")
            group.stop = token.at
            if token == "]":
                _check_subscripts(open_groups)
        else:
            open_groups[-1].items.append(token)
    if len(open_groups) != 1:
        raise NotUnderstood("brackets do not match")
    return top.items


def _check_subscripts(open_groups: list[Group]) -> None:
    """Refuse what costs the second reading more than its length: see the limits."""
    if sum(group.bracket == "[" for group in open_groups) >= MAX_SUBSCRIPT_DEPTH:
        raise NotUnderstood("arrays lie too deep in each other")
    chain = open_groups[-1].items[-MAX_SUBSCRIPTS:]
    if len(chain) == MAX_SUBSCRIPTS and all(isinstance(item, Group) for item in chain):
        raise NotUnderstood("too many subscripts")


def split_at(items: list[Item], separator: str) -> list[list[Item]]:
    """Split items where the separator stands; an empty list gives one empty part."""
    parts: list[list[Item]] = [[]]
    for item in items:
        if item == separator:
            parts.append([])
        else:
            parts[-1].append(item)
    return parts


def is_group(item: Item | None) -> bool:
    """Whether an item is a pair of round brackets."""
    return isinstance(item, Group) and item.bracket == "("


def item_at(items: list[Item], at: int) -> Item | None:
    """Find what stands at `at`; None behind the end."""
    return items[at] if at < len(items) else None


def step_over(items: list[Item], at: int, word: str) -> int:
    """Step over a word that may stand at `at`."""
    return at + 1 if items[at : at + 1] == [word] else at


def find_words(items: list[Item], sequence: list[str]) -> int:
    """Find words that follow each other; the end when they do not."""
    for at in range(len(items)):
        if items[at : at + len(sequence)] == sequence:
            return at
    return len(items)


def split_before(items: list[Item], starts: frozenset[str] | set[str]) -> list[list[Item]]:
    """Split items in front of every word that starts a clause.

    The first part is what stands in front of the first such word, often nothing. Behind AS or a
    point the word is a name.
    """
    parts: list[list[Item]] = [[]]
    for at, item in enumerate(items):
        if isinstance(item, Token) and item in starts and not _is_no_clause(items, at):
            parts.append([item])
        else:
            parts[-1].append(item)
    return parts


def _is_no_clause(items: list[Item], at: int) -> bool:
    before = items[at - 1] if at else None
    if before in ("as", ".", "within"):
        return True
    # IS [NOT] DISTINCT FROM
    return before == "distinct" and at > 1 and items[at - 2] in ("is", "not")
