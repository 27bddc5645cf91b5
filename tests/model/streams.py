"""What is on its way between two members: delivered in order, or lost, and then begun anew.

That an acknowledgement comes back at once, with what it acknowledges, leaves nothing out: one
that is on its way, or lost, only keeps its commit waiting, and waiting is possible anyway.
"""

from __future__ import annotations

from typing import Final

from tests.model.epochs import adopt
from tests.model.rules import Rule
from tests.model.scene import Scene, Steps, higher
from tests.model.states import ALL, Fleet, Kind, Member, Message, Stage, Stream


def stream_steps(fleet: Fleet, scene: Scene) -> Steps:
    """All that may happen to what is on its way."""
    for sender, stream in enumerate(fleet.streams):
        if stream.gap:
            yield begin_anew(fleet, scene, sender)
        elif stream.messages:
            yield deliver(fleet, scene, sender)
        if scene.loss and stream.messages:
            yield lose(fleet, scene, sender)


def lose(fleet: Fleet, scene: Scene, sender: int) -> tuple[str, Fleet]:
    """The first message is lost. Whoever has the next one can see it by the number."""
    head, *rest = fleet.streams[sender].messages
    lost = fleet.with_stream(sender, Stream(tuple(rest), scene.holds(Rule.GAP)))
    return f"{_NAMES[head.kind]} of member {sender} is lost", lost


def begin_anew(fleet: Fleet, scene: Scene, sender: int) -> tuple[str, Fleet]:
    """The hearer sees the gap, or a broken connection: grants are void, a new stream begins.

    It may see it at any time, since a connection may break at any time. What the old stream
    still held is not heard; nothing else is until the sender's state is there.
    """
    hearer = 1 - sender
    voided = fleet.with_member(hearer, fleet.members[hearer]._replace(holds=False))
    begun = voided.with_stream(sender, opening(voided, scene, sender))
    return f"member {hearer} notices the gap in member {sender}'s stream", begun


def opening(fleet: Fleet, scene: Scene, sender: int) -> Stream:
    """How a stream begins: with all that its sender knows."""
    if not scene.holds(Rule.STATE):
        return Stream()
    member = fleet.members[sender]
    riding = sum(1 << number for number, write in enumerate(fleet.writes) if write.riding)
    own = (member.pending | member.lingering) & (scene.own[sender] | ALL) & ~riding
    told = member.version & ~member.untold
    return Stream((Message(Kind.STATE, member.epoch, own, told, member.need),))


def deliver(fleet: Fleet, scene: Scene, sender: int) -> tuple[str, Fleet]:
    """The first message is heard, and what it asks for is acknowledged."""
    message, *rest = fleet.streams[sender].messages
    hearer = 1 - sender
    heard = fleet.with_stream(sender, Stream(tuple(rest)))
    what = f"member {hearer} hears {_NAMES[message.kind]}"
    member = fleet.members[hearer]
    kind = message.kind
    if kind is Kind.GRANT:
        return what, heard.with_member(hearer, member._replace(holds=True))
    if kind is Kind.EPOCH_MARK:
        return what, _epoch_marked(heard, hearer, message)
    if message.epoch > member.epoch:
        heard = adopt(heard, scene, hearer, message.need, message.version, message.tokens)
        return f"{what}, and begins the epoch", _acknowledged(heard, sender, message.tokens)
    if message.epoch < member.epoch:
        return what, heard
    told = heard.with_member(hearer, _taken_in(member, scene, sender, message))
    if kind is Kind.MARK or kind is Kind.STATE:
        told = _acknowledged(told, sender, message.tokens)
    return what, told


def _taken_in(member: Member, scene: Scene, sender: int, message: Message) -> Member:
    """What a hearer knows behind a message of its own epoch."""
    tokens = message.tokens
    match message.kind:
        case Kind.MARK:
            return member._replace(pending=member.pending | tokens)
        case Kind.CLEAR:
            need = higher(member.need, scene.written(tokens), message.need[0])
            return member._replace(
                pending=member.pending & ~tokens, version=member.version | tokens, need=need
            )
        case Kind.ROLLED_BACK:
            return member._replace(pending=member.pending & ~tokens)
        case Kind.STATE:
            others = member.pending & ~scene.own[sender]
            return member._replace(
                pending=others | tokens,
                version=member.version | message.version,
                need=tuple(map(max, member.need, message.need)),
            )
    return member


def _epoch_marked(fleet: Fleet, hearer: int, message: Message) -> Fleet:
    """Every table is pending from here on, unless the epoch is old news. Both know now."""
    sender = 1 - hearer
    member = fleet.members[hearer]
    if message.epoch > member.epoch:
        marked = member._replace(pending=member.pending | ALL, epoch_acknowledged=True)
        fleet = fleet.with_member(hearer, marked)
    about = fleet.members[sender]
    if about.epoch < message.epoch:
        fleet = fleet.with_member(sender, about._replace(epoch_acknowledged=True))
    return fleet


def _acknowledged(fleet: Fleet, sender: int, tokens: int) -> Fleet:
    """The sender hears that its pending commits are known; of a new epoch both know now."""
    for number, write in enumerate(fleet.writes):
        if tokens >> number & 1 and write.stage is Stage.MARKED:
            fleet = fleet.with_write(number, write._replace(acknowledged=True))
    if tokens & ALL:
        first, second = fleet.members
        fleet = fleet._replace(
            members=(
                first._replace(epoch_acknowledged=True),
                second._replace(epoch_acknowledged=True),
            )
        )
    return fleet


_NAMES: Final = {
    Kind.MARK: "the MARK",
    Kind.CLEAR: "the CLEAR",
    Kind.ROLLED_BACK: "the CLEAR (rolled back)",
    Kind.GRANT: "the GRANT",
    Kind.STATE: "the STATE",
    Kind.EPOCH_MARK: "the epoch's MARK",
    Kind.EPOCH_CLEAR: "the epoch's CLEAR",
}
