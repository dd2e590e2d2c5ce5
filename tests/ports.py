"""Ports for the processes that tests start."""

import socket


def free_port() -> int:
    """Return a port that nobody listens at right now."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port: int = bound.getsockname()[1]
        return port
