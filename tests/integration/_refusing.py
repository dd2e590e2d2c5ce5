"""A validating webhook that refuses every object, on loopback: somebody else who has a say beside Podgate."""

import base64
import contextlib
import http.server
import json
import ssl
import threading
from collections.abc import Iterator

from tests.integration import _admission as at
from tests.integration._admission import Installation

MESSAGE = "the other webhook takes no pods today"


class _Refusal(http.server.BaseHTTPRequestHandler):
    """Answers each review with a refusal."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Refuse."""
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        response = {"uid": review["request"]["uid"], "allowed": False, "status": {"code": 403, "message": MESSAGE}}
        body = json.dumps({**{key: review[key] for key in ("apiVersion", "kind")}, "response": response}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the library's name
        """Say nothing."""


@contextlib.contextmanager
def refusing(cluster: Installation, namespace: str) -> Iterator[None]:
    """Let another webhook refuse all new pods of a namespace for as long as the block runs."""
    directory = cluster.plane.directory
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Refusal)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "server.crt", directory / "server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        cluster.kubectl.create(_webhook(cluster, namespace, server.server_address[1]))
        yield
    finally:
        cluster.kubectl("delete", "validatingwebhookconfiguration", _name(namespace))
        server.shutdown()
        server.server_close()


def _name(namespace: str) -> str:
    return f"refuses-{namespace}"


def _webhook(cluster: Installation, namespace: str, port: int) -> at.Object:
    entry = {
        "name": "refuses.example.com",
        "clientConfig": {
            "url": f"https://127.0.0.1:{port}/",
            "caBundle": base64.b64encode((cluster.plane.directory / "ca.crt").read_bytes()).decode(),
        },
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 10,
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": _name(namespace)},
        "webhooks": [entry],
    }
