import pytest

from domain.errors import SettingsError
from domain.gateway.proxies import proxy_networks


def test_addresses_and_networks_are_taken():
    assert proxy_networks("127.0.0.1, 10.1.2.3/8,,::1") == ("127.0.0.1", "10.0.0.0/8", "::1")
    assert proxy_networks("") == ()


@pytest.mark.parametrize("text", ["*", "proxy.local", "0.0.0.0/0", "::/0", "10.0.0.0/33"])
def test_everybody_is_no_proxy(text):
    with pytest.raises(SettingsError, match="MYRIAD_FORWARDED_ALLOW_IPS"):
        proxy_networks(text)
