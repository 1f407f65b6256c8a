"""The way of what blocks: the sessions of requests go as the settings say, in threads."""

import requests

from promptmill.schema.network import NetworkSettings


def lead(session: requests.Session, network: NetworkSettings, url: str) -> None:
    """Let *session* go to *url* by *network*, whatever the environment says."""
    session.trust_env = False
    if (proxy := network.proxy_of(url)) is not None:
        session.proxies = {"all": proxy.reveal()}
    if network.ca_bundle is not None:
        session.verify = str(network.ca_bundle)
