"""The gateway's records: one repository per aggregate over one database, which several gateways may share."""

from adapters.gateway.audit import AuditRepository
from adapters.gateway.database import GatewayDatabase
from adapters.gateway.deliveries import DeliveryRepository
from adapters.gateway.endpoints import EndpointRepository
from adapters.gateway.events import EventRepository
from adapters.gateway.jobs import JobRepository
from adapters.gateway.keys import KeyRepository
from adapters.gateway.subscriptions import SubscriptionRepository
from adapters.gateway.triggers import TriggerRepository
from adapters.gateway.uploads import UploadRepository

__all__ = ["GatewayStore"]


class GatewayStore:
    """All repositories. Every method of theirs raises GatewayError if the database cannot be used."""

    def __init__(self, url: str) -> None:
        """url : of SQLAlchemy, `sqlite:///...` or `postgresql+psycopg://...`; see `GatewayDatabase`."""
        self.database = GatewayDatabase(url)
        self.endpoints = EndpointRepository(self.database)
        self.deliveries = DeliveryRepository(self.database)
        self.jobs = JobRepository(self.database, self.deliveries)
        self.triggers = TriggerRepository(self.database)
        self.events = EventRepository(self.database)
        self.subscriptions = SubscriptionRepository(self.database)
        self.uploads = UploadRepository(self.database)
        self.keys = KeyRepository(self.database)
        self.audit = AuditRepository(self.database)

    def close(self) -> None:
        """Close all connections."""
        self.database.close()

    def ping(self) -> None:
        """Raise GatewayError if the database does not answer."""
        self.database.ping()
