"""TLS as the settings ask for it, made once per server group."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from proxy.errors import ConfigError
from proxy.runtime.tls import certificate_of, client_context, end_point_binding, server_context
from proxy.settings.model import ServerGroup
from proxy.settings.values import AuthType, SslMode


@dataclass(slots=True, frozen=True)
class Security:
    """Contexts and what goes with them.

    Attributes:
        clients: For clients; None: TLS is not offered.
        servers: For servers; None: in the open.
        control: The same for the control connections, in the driver's terms.
        channel_binding: What SCRAM-SHA-256-PLUS binds a client's login to.
        requires_tls: Whether clients in the open are refused.
    """

    clients: ssl.SSLContext | None
    servers: ssl.SSLContext | None
    control: ssl.SSLContext | bool | str
    channel_binding: bytes | None
    requires_tls: bool


def make_security(settings: ServerGroup) -> Security:
    """Read the files that the settings name.

    Raises:
        ConfigError: One can't be read, or is not what it should be.
    """
    try:
        clients, binding = _for_clients(settings)
        servers = client_context(
            settings.server_tls_sslmode.value,
            ca=_path(settings.server_tls_ca_file),
            certificate=_path(settings.server_tls_cert_file),
            key=_path(settings.server_tls_key_file),
        )
    except (OSError, ValueError) as error:
        raise ConfigError([f"server_groups.{settings.name}: TLS: {error}"]) from None
    control: ssl.SSLContext | bool | str = False
    if servers is not None:
        mode = settings.server_tls_sslmode
        control = mode.value if mode in (SslMode.ALLOW, SslMode.PREFER) else servers
    demanding = (SslMode.REQUIRE, SslMode.VERIFY_CA, SslMode.VERIFY_FULL)
    return Security(clients, servers, control, binding, settings.client_tls_sslmode in demanding)


def _for_clients(settings: ServerGroup) -> tuple[ssl.SSLContext | None, bytes | None]:
    certificate = _path(settings.client_tls_cert_file)
    if certificate is None or settings.client_tls_sslmode is SslMode.DISABLE:
        return None, None
    context = server_context(
        certificate,
        _path(settings.client_tls_key_file) or certificate,
        ca=_path(settings.client_tls_ca_file),
        require_client_certificate=settings.client_tls_sslmode.verifies
        or settings.auth_type is AuthType.CERT,
    )
    return context, end_point_binding(certificate_of(certificate))


def _path(path: object) -> str | None:
    return str(path) if path is not None else None
