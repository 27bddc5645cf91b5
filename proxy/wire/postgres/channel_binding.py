"""What ties a login to its TLS connection: a hash of the server's certificate (RFC 5929)."""

from __future__ import annotations

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.x509 import load_der_x509_certificate


def end_point_hash(certificate: bytes) -> bytes | None:
    """Hash a certificate as `tls-server-end-point` wants it.

    Args:
        certificate: In DER, as the TLS layer gives it.

    Returns:
        None where the RFC does not say which hash to take (Ed25519): no -PLUS then.
    """
    parsed = load_der_x509_certificate(certificate)
    try:
        algorithm = parsed.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return None
    if algorithm is None:
        return None
    if isinstance(algorithm, hashes.MD5 | hashes.SHA1):
        algorithm = hashes.SHA256()
    return parsed.fingerprint(algorithm)
