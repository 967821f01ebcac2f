"""Run the server stack of docker-compose.yml as plain processes, for machines without containers."""

from adapters.local_stack.compose_file import Service, read_compose
from adapters.local_stack.process import Translation
from adapters.local_stack.stack import LocalStack
from adapters.local_stack.supervisor import Supervisor

__all__ = ["LocalStack", "Service", "Supervisor", "Translation", "read_compose"]
