"""The way of what blocks: the sessions of requests go as the settings say, in threads."""

from urllib.parse import urlsplit

import requests

from promptmill.schema.network import NetworkSettings


def lead(session: requests.Session, network: NetworkSettings, url: str) -> None:
    """Let *session* go to *url* by *network*, whatever the environment says."""
    session.trust_env = False
    if (proxy := network.proxy_of(url)) is not None:
        # Not for all: Google's own credentials are asked of a server beside this machine, by http.
        session.proxies = {urlsplit(url).scheme: proxy.reveal()}
    if network.ca_bundle is not None:
        session.verify = str(network.ca_bundle)
