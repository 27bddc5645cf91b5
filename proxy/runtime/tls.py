"""TLS over a transport that carries bytes: one object per connection, either side.

Built on `ssl.MemoryBIO`, so that it can begin anywhere in a conversation: after an SSLRequest,
with the first byte (direct TLS), or after an answer of `S` from a server. The transport below
stays the plain one, with its flow control.

Sources: "SSL Session Encryption" in the PostgreSQL manual; RFC 5929 (tls-server-end-point).
"""

from __future__ import annotations

import contextlib
import hashlib
import ssl
from typing import Final, final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from proxy.runtime.wrapping import Wrapping

CHUNK: Final = 256 * 1024
ALPN: Final = "postgresql"


@final
class Tls(Wrapping):
    """One TLS session. Ciphertext and plain text go in, ciphertext and plain text come out."""

    __slots__ = ("_in", "_is_over", "_object", "_out", "established")

    def __init__(
        self, context: ssl.SSLContext, *, server_side: bool, hostname: str | None = None
    ) -> None:
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._object = context.wrap_bio(
            self._in, self._out, server_side=server_side, server_hostname=hostname
        )
        self.established = False
        self._is_over = False

    @property
    def is_over(self) -> bool:
        """See the base: a goodbye may come long before the end of the stream, which waits for
        ours (RFC 5246, 7.2.1)."""
        return self._is_over

    def receive(self, data: bytes) -> tuple[bytes, bytes]:
        """Take ciphertext; returns what it says, and what must be sent in answer.

        Raises:
            ssl.SSLError: The peer does not speak TLS, or is not who it should be. What is left
                in `pending` should still be sent: it tells the peer why.
        """
        self._in.write(data)
        plain = b""
        if not self.established:
            try:
                self._object.do_handshake()
                self.established = True
            except ssl.SSLWantReadError:
                return b"", self._out.read()
        pieces = []
        try:
            while piece := self._object.read(CHUNK):
                pieces.append(piece)
            self._is_over = True
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            pass
        plain = b"".join(pieces)
        return plain, self._out.read()

    def send(self, data: bytes) -> bytes:
        """Encrypt; returns what must be sent."""
        self._object.write(data)
        return self._out.read()

    def goodbye(self) -> bytes:
        """What must be sent last: without it a peer can't tell an end from a cut."""
        if self.established:
            self.established = False
            with contextlib.suppress(ssl.SSLError):  # the peer has not said goodbye yet, mostly
                self._object.unwrap()
        return self._out.read()

    def pending(self) -> bytes:
        """What must be sent even though nothing was asked for: an alert, most often."""
        return self._out.read()

    @property
    def application_protocol(self) -> str | None:
        """What ALPN agreed on."""
        return self._object.selected_alpn_protocol()

    @property
    def peer_certificate(self) -> bytes | None:
        """The peer's certificate (DER), when it showed one that was verified."""
        return self._object.getpeercert(binary_form=True)

    @property
    def peer_common_name(self) -> str | None:
        """The common name in the peer's verified certificate."""
        certificate = self.peer_certificate
        if certificate is None:
            return None
        subject = x509.load_der_x509_certificate(certificate).subject
        names = subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        return str(names[0].value) if names else None


def end_point_binding(certificate: bytes) -> bytes | None:
    """The tls-server-end-point channel binding of a server's certificate (RFC 5929, 4.1).

    The hash is the one of the certificate's signature; MD5 and SHA-1 are replaced by SHA-256.
    None for a signature without a hash of its own (Ed25519), where nothing is defined.
    """
    algorithm = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
    if algorithm is None:
        return None
    name = algorithm.name if algorithm.name not in ("md5", "sha1") else "sha256"
    return hashlib.new(name, certificate).digest()


def server_context(
    certificate: str, key: str, *, ca: str | None, require_client_certificate: bool
) -> ssl.SSLContext:
    """Make the context for clients that connect to us.

    Raises:
        OSError: A file can't be read.
        ssl.SSLError: A file is not what it should be.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols([ALPN])
    if ca is not None:
        context.load_verify_locations(ca)
        context.verify_mode = ssl.CERT_REQUIRED if require_client_certificate else ssl.CERT_OPTIONAL
    return context


def client_context(
    sslmode: str, *, ca: str | None, certificate: str | None, key: str | None
) -> ssl.SSLContext | None:
    """Make the context for our connections to servers, by libpq's `sslmode`; None: in the open.

    Raises:
        OSError: A file can't be read.
        ssl.SSLError: A file is not what it should be.
    """
    if sslmode == "disable":
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False  # or no other verify_mode than CERT_REQUIRED may be set
    context.verify_mode = ssl.CERT_NONE
    if ca is not None:
        context.load_verify_locations(ca)
        # As libpq: with a CA file, `require` verifies like `verify-ca`.
        if sslmode in ("require", "verify-ca", "verify-full"):
            context.verify_mode = ssl.CERT_REQUIRED
    elif sslmode in ("verify-ca", "verify-full"):
        context.load_default_certs()
        context.verify_mode = ssl.CERT_REQUIRED
    context.check_hostname = sslmode == "verify-full"
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context


def certificate_of(path: str) -> bytes:
    """The first certificate of a PEM file, as DER: what clients see of us."""
    with open(path, "rb") as file:
        return x509.load_pem_x509_certificates(file.read())[0].public_bytes(Encoding.DER)
