"""The admission application with nothing behind it: what Podgate's own server costs before a review is judged."""

import sys
from pathlib import Path

import prometheus_client

from tests.bench import baseline
from webhook.serve import admission_app, listener, ops, tls


def main() -> None:
    """Serve constant answers on the port, with the certificate and the key, given as arguments."""
    port, certificate, key = sys.argv[1:]
    answer = admission_app.Answer(200, baseline.ANSWER)
    health = ops.Health()
    operations = ops.application(health, prometheus_client.CollectorRegistry())
    served = admission_app.AdmissionApp(lambda _path, _body, _timeout: answer, operations)
    admission = listener.Admission(served, tls.ServerTls(Path(certificate), Path(key)), "127.0.0.1", int(port))
    site = listener.Site("operations", "--ops-port", operations, "127.0.0.1", 0)
    listener.serve(admission, [site], health)


if __name__ == "__main__":
    main()
