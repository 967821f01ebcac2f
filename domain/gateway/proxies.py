"""Proxies in front of the gateway: the addresses whose X-Forwarded-For is believed."""

import ipaddress

from domain.errors import SettingsError

__all__ = ["proxy_networks"]


def proxy_networks(text: str) -> tuple[str, ...]:
    """Return the addresses and networks in a list with commas.

    Raises
    ------
    SettingsError
        For anything else, and for all addresses at once: then every client could choose its own address.
    """
    networks = list[str]()
    for part in (part.strip() for part in text.split(",")):
        if not part:
            continue
        try:
            network = ipaddress.ip_network(part, strict=False)
        except ValueError as exc:
            raise SettingsError(
                f"MYRIAD_FORWARDED_ALLOW_IPS: {part}: no address or network; give one such as 10.0.0.5 or 10.0.0.0/8"
            ) from exc
        if not network.prefixlen:
            raise SettingsError(
                f"MYRIAD_FORWARDED_ALLOW_IPS: {part} has everybody in it, who could then claim any address; give the "
                "addresses or networks of the proxies"
            )
        networks.append(str(network) if network.num_addresses > 1 else str(network.network_address))
    return tuple(networks)
