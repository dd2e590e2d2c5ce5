"""A certificate authority and a serving certificate, for installations that bring none of their own.

An API server speaks to a webhook over TLS only, and it trusts exactly the authority that the webhook object names. A
cluster has cert-manager or its own issuer for that; a laptop, a test and a first installation have nothing. This
package makes the missing pieces, renews the ones it made long before they expire, and refuses broken ones with one
line that says which file and what to do. It stands alone: it imports nothing of the webhook, and the webhook
imports only what is named here.
"""

from certs.errors import CertificateError
from certs.files import CertificatePaths, ensure, expiries
from certs.leaf import server_names

__all__ = ["CertificateError", "CertificatePaths", "ensure", "expiries", "server_names"]
