"""Why a connection failed, told by the type of the error, since libraries change their words."""

import os
import socket
import ssl
from collections.abc import Iterator


def reason(error: BaseException) -> str:
    """Explain an error of any library by the OSError or TLS error that caused it, as half a sentence.

    Returns "" when there is no such cause.
    """
    found = (_words(each) for each in chain(error) if isinstance(each, OSError))
    return next(filter(None, found), "")


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, then its causes (`__cause__`, else `__context__`)."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _words(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS failed: {_CERTIFICATES.get(error.verify_code, 'its certificate is not trusted here')}"
    if isinstance(error, ssl.SSLError):
        return "TLS failed: one side speaks no TLS, or another one"
    if isinstance(error, socket.gaierror):
        return "there is no such host"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return os.strerror(error.errno).lower() if error.errno else ""


_CERTIFICATES = {
    9: "its certificate is not valid yet",
    10: "its certificate has expired",
    62: "its certificate is for another host name",
    64: "its certificate is for another address",
}
"""OpenSSL's X509_V_ERR_… number → the reason."""
