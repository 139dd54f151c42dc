"""Why a connection failed, by the kinds of errors: the words of libraries change from version to version."""

import os
import socket
import ssl
from collections.abc import Iterator


def reason(error: BaseException) -> str:
    """Half a sentence for an error of any library, by what the operating system or TLS said beneath it.

    "" where nothing of the kind lies beneath.
    """
    found = (_words(each) for each in chain(error) if isinstance(each, OSError))
    return next(filter(None, found), "")


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and those that it came from."""
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
"""Numbers of OpenSSL's X509_V_ERR_…"""
