"""The server stack of docker-compose.yml as plain processes of this machine, for where there are no containers."""

from adapters.services._compose import Service, read_compose
from adapters.services._process import Translation
from adapters.services._stack import ServerStack
from adapters.services._supervisor import Supervisor

__all__ = ["ServerStack", "Service", "Supervisor", "Translation", "read_compose"]
