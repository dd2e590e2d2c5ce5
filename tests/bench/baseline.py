"""What everything is compared with: a FastAPI route that reads the body and returns constant bytes.

The same uvicorn, uvloop, httptools and TLS as Podgate, no access log: the least that a webhook written the ordinary way
can cost before it does any work.
"""

import sys

import uvicorn
from fastapi import FastAPI, Request, Response

ANSWER = (
    b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview",'
    b'"response":{"uid":"00000000-0000-0000-0000-000000000000","allowed":true}}'
)


def application() -> FastAPI:
    """Return the application: one route, which does nothing with what it reads."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.post("/mutate")
    async def mutate(request: Request) -> Response:
        await request.body()
        return Response(ANSWER, media_type="application/json")

    return app


def main() -> None:
    """Serve on the port, with the certificate and the key, given as arguments."""
    port, certificate, key = sys.argv[1:]
    uvicorn.run(
        application(),
        host="127.0.0.1",
        port=int(port),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        log_level="error",
        access_log=False,
        server_header=False,
        timeout_keep_alive=120,
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )


if __name__ == "__main__":
    main()
