"""Addresses of the services of a stack, and the accounts that they ask for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from adapters.local_stack.compose_file import Service

__all__ = ["Address", "addresses_of"]


@dataclass(frozen=True)
class Address:
    """Where a service is found. account : name of the account, and of the setting that has its secret."""

    service: str
    url: str
    account: str


_PLACES = {
    "prefect-server": ("http://127.0.0.1:{port}", "{prefect}, password in PREFECT_API_AUTH_STRING"),
    "mlflow": ("http://127.0.0.1:{port}", "{mlflow}, password in MLFLOW_TRACKING_PASSWORD"),
    "gateway": ("http://127.0.0.1:{port}/docs", "keys of: myriad keys create NAME --scope read"),
    "s3": ("http://127.0.0.1:{port}", "AWS_ACCESS_KEY_ID, secret in AWS_SECRET_ACCESS_KEY"),
    "dask-scheduler": ("tls://127.0.0.1:{port}", "certificates in var/stack"),
    "postgres": ("postgresql://127.0.0.1:{port}", "operator, password in POSTGRES_OPERATOR_PASSWORD"),
}


def addresses_of(services: Sequence[Service], variables: Mapping[str, str]) -> list[Address]:
    """Return the address of each service that people or clients use, the pages for people first."""
    ports = {service.name: service.ports[0] for service in services if service.ports}
    names = {
        "prefect": variables.get("PREFECT_API_AUTH_STRING", "").partition(":")[0],
        "mlflow": variables.get("MLFLOW_TRACKING_USERNAME", ""),
    }
    return [
        Address(name, url.format(port=ports[name]), account.format(**names))
        for name, (url, account) in _PLACES.items()
        if name in ports
    ]
