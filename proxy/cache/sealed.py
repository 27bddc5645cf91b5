"""Results on their way through a store that others share: each proves by itself what it is.

A store may lose an entry, keep an old one, mix up names after a failover, or be written to by
others. So nothing that comes from it is believed for where it was found. Name and checksum are
keyed with the salt, which the members of a fleet share and the store does not know: an entry of
another fleet, of another epoch, under another name, cut or changed is not there. Whether its
version is still that of its tables is for the ledger to say, each time.

    tgr   format   packing   size   salt's id   name   version   checksum   pieces
    3     1        1         4      8           20     16        16

What is kept is not hidden: who may read the store may read results, though neither statements nor
values of parameters.

BLAKE2, keyed and personalised: RFC 7693 and https://www.blake2.net/blake2.pdf, section 2.8.
"""

from __future__ import annotations

import zlib
from hashlib import blake2b
from struct import Struct
from typing import Final, NamedTuple, final

from proxy.cache.key import Key, Shape
from proxy.types import Table

FORMAT: Final = 1
"""Of entries, and of what the first level keeps: to be raised when either is made otherwise."""

NAME_BYTES: Final = 20

PREFIX: Final = b"tidegate:r:"
"""Under which all names stand in the store, for access lists and for whoever looks at it."""

_MAGIC: Final = b"tgr"
_HEAD: Final = Struct(">3sBBI8s20s16s")
_HEAD_BYTES: Final = 53
_CHECKSUM_BYTES: Final = 16
_PIECES_AT: Final = _HEAD_BYTES + _CHECKSUM_BYTES
_SIZE: Final = Struct(">I")
_SIZE_BYTES: Final = 4

_PLAIN: Final = 0
_ZLIB: Final = 1

_LEVEL: Final = 1
"""Rows of 64 kB get to a third in 0.8 ms; by zlib's default they take 3.7 ms, for a tenth less."""


class Sealed(NamedTuple):
    """What was in an entry.

    Attributes:
        version: Of its tables, when it was asked for.
        pieces: As the first level keeps them.
    """

    version: int
    pieces: tuple[bytes, ...]


@final
class Realm:
    """Those that may share results: they know the same salt, and are in the same epoch.

    Args:
        salt: Random, 16 bytes or more; it must not be found in the store.
        epoch: Names the primary's history.

    Attributes:
        epoch: The same; whatever was kept in another is not found.
    """

    __slots__ = ("_id", "_key", "epoch")

    def __init__(self, salt: bytes, epoch: bytes = b"") -> None:
        self.epoch = epoch
        self.share(salt)

    def share(self, salt: bytes) -> None:
        """Share results with those who know this salt, from now on."""
        self._key = blake2b(salt, digest_size=32, person=b"tidegate key").digest()
        self._id = blake2b(salt, digest_size=8, person=b"tidegate salt").digest()

    def name(self, shape: Shape, key: Key, tables: frozenset[Table]) -> bytes:
        """Name what was asked, how, and of what.

        Rules are left out: they say who may be answered, and what is asked is the text that they
        have made.

        Args:
            shape: How.
            key: What.
            tables: The statement's, after lineage: the same names may mean others elsewhere.
        """
        asked = (
            self.epoch,
            (shape.salt, shape.group, shape.database, shape.user, shape.role),
            (shape.protocol, shape.encoding, shape.settings),
            (key.statement, key.types, key.parameters, key.limit),
            sorted([(table.database, table.oid) for table in tables]),
        )
        # What Python says of texts, bytes and numbers is never the same for two of them.
        said = repr(asked).encode("utf-8", "surrogatepass")
        digest = blake2b(said, digest_size=NAME_BYTES, key=self._key, person=b"tidegate name")
        return digest.digest()

    def seal(
        self, name: bytes, version: int, pieces: tuple[bytes, ...], compress_above: int
    ) -> bytes:
        """Make an entry.

        Args:
            name: Under which it is kept.
            version: Of its tables.
            pieces: What is kept.
            compress_above: Bytes that are not worth to be compressed.
        """
        body = _joined(pieces)
        size = len(body)
        packing = _PLAIN
        if size > compress_above:
            packed = zlib.compress(body, _LEVEL)
            if len(packed) < size - size // 8:
                body = packed
                packing = _ZLIB
        head = _HEAD.pack(
            _MAGIC, FORMAT, packing, size, self._id, name, version.to_bytes(16, "big")
        )
        return b"".join((head, self._checksum(head, body), body))

    def unseal(self, name: bytes, data: bytes, max_bytes: int) -> Sealed | None:
        """Open an entry; None: it is not what it should be, whatever it is.

        Args:
            name: Under which it was found.
            data: What was found.
            max_bytes: Larger ones are not wanted.
        """
        if len(data) < _PIECES_AT:
            return None
        head = data[:_HEAD_BYTES]
        magic, number, packing, size, salt, own_name, version = _HEAD.unpack(head)
        if magic != _MAGIC or number != FORMAT or salt != self._id or own_name != name:
            return None
        body = data[_PIECES_AT:]
        if size > max_bytes or data[_HEAD_BYTES:_PIECES_AT] != self._checksum(head, body):
            return None
        if packing == _ZLIB:
            try:
                body = zlib.decompressobj().decompress(body, size + 1)
            except zlib.error:
                return None
        elif packing != _PLAIN:
            return None
        if len(body) != size:
            return None
        pieces = _parted(body)
        return None if pieces is None else Sealed(int.from_bytes(version, "big"), pieces)

    def _checksum(self, head: bytes, body: bytes) -> bytes:
        digest = blake2b(head, digest_size=_CHECKSUM_BYTES, key=self._key, person=b"tidegate sum")
        digest.update(body)
        return digest.digest()


def _joined(pieces: tuple[bytes, ...]) -> bytes:
    parts = []
    for piece in pieces:
        parts.append(_SIZE.pack(len(piece)))
        parts.append(piece)
    return b"".join(parts)


def _parted(body: bytes) -> tuple[bytes, ...] | None:
    pieces = []
    pos = 0
    end = len(body)
    while pos < end:
        start = pos + _SIZE_BYTES
        if start > end:
            return None
        pos = start + int.from_bytes(body[pos:start], "big")
        if pos > end:
            return None
        pieces.append(body[start:pos])
    return tuple(pieces)
