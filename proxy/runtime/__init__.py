"""The asyncio shell: listeners, client and server Protocols, flow control, TLS, timers, tasks."""
