"""Whose certificates are believed, where somebody says so."""

import ssl
from pathlib import Path

from promptmill.schema.errors import SettingsError


def trust_in(authorities: Path) -> ssl.SSLContext:
    """Trust the certificate authorities of a file or a folder, and no others.

    Raises SettingsError where it cannot be read, or has no certificate in it.
    """
    try:
        if authorities.is_dir():
            return ssl.create_default_context(capath=authorities)
        return ssl.create_default_context(cafile=authorities)
    except OSError as error:  # an SSLError is one
        is_read = isinstance(error, ssl.SSLError)
        problem = "no certificate (PEM) is in it" if is_read else error.strerror
        msg = f"network.ca_bundle, or SSL_CERT_FILE, is {authorities}: {problem}"
        raise SettingsError(msg) from error
