"""The hash that ties a login to its TLS connection."""

from __future__ import annotations

import datetime
import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from proxy.wire.postgres.channel_binding import end_point_hash

NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
DAY = datetime.datetime(2024, 1, 1)


def certificate(
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
    algorithm: hashes.SHA256 | hashes.SHA512 | None,
) -> bytes:
    builder = x509.CertificateBuilder(
        NAME, NAME, key.public_key(), 1, DAY, DAY + datetime.timedelta(days=1)
    )
    return builder.sign(key, algorithm).public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    ("algorithm", "expected"), [(hashes.SHA256(), "sha256"), (hashes.SHA512(), "sha512")]
)
def test_the_hash_is_the_one_the_certificate_is_signed_with(
    algorithm: hashes.SHA256 | hashes.SHA512, expected: str
) -> None:
    der = certificate(ec.generate_private_key(ec.SECP256R1()), algorithm)
    assert end_point_hash(der) == hashlib.new(expected, der).digest()


def test_a_certificate_signed_without_a_hash_can_not_be_bound_to() -> None:
    assert end_point_hash(certificate(ed25519.Ed25519PrivateKey.generate(), None)) is None
