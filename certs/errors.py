"""What can be wrong with a certificate directory."""


class CertificateError(Exception):
    """A certificate, key or directory that cannot be used; the text is one line with the file and the cure."""
