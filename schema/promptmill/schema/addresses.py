"""Which addresses are everybody's, and which are of this machine or of a private network."""

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

_NAT64 = IPv6Network("64:ff9b::/96")
"""an IPv4 address is in its last 32 bits (RFC 6052)"""


def is_public(address: str) -> bool:
    """Tell whether an IP address is one of the internet."""
    meant = _meant(ip_address(address.partition("%")[0]))
    if isinstance(meant, IPv6Address) and meant.sixtofour is not None:
        return False
    return meant.is_global and not (meant.is_multicast or meant.is_reserved)


def is_private_host(host: str) -> bool:
    """Tell whether a host is, as it is written, none of the internet. A name may be one still."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    literal = _literal(name)
    return literal is not None and not is_public(literal)


def _meant(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that an IPv6 one leads to, else the same."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _literal(name: str) -> str | None:
    """Return the address that is written in *name*, in any way that a resolver takes."""
    try:
        return str(ip_address(name))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(name))  # 127.1, 0x7f000001, 2130706433
    except (OSError, UnicodeError):
        return None
