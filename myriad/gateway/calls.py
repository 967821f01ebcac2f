"""Every call of the gateway as a value: what to send, and how to read the answer; both clients make the same ones."""

import io
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel

from domain.errors import SourceError
from myriad.frames import FrameKind, from_arrow
from myriad.gateway import models
from myriad.results import Page

__all__ = ["FINAL", "Call", "addresses", "following"]

R = TypeVar("R")
M = TypeVar("M", bound=BaseModel)
FINAL = ("completed", "failed", "cancelled")
"""States that a job does not leave."""


@dataclass(frozen=True)
class Call(Generic[R]):
    """A request and the reader of its answer.

    repeatable : a second arrival of the same request changes nothing.
    content : body of an upload; a path is read anew for every attempt.
    """

    method: str
    path: str
    read: Callable[[httpx.Response], R]
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | Path | None = None
    repeatable: bool = True


def _path(*parts: str) -> str:
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


def _some(**values: object) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _as(model: type[M]) -> Callable[[httpx.Response], M]:
    return lambda response: model.model_validate_json(response.content)


def _nothing(_: httpx.Response) -> None:
    return None


def _json(value: BaseModel | Mapping[str, Any]) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_unset=True, by_alias=True)
    return dict(value)


def addresses(inputs: Sequence[Any]) -> tuple[list[str], list[Any]]:
    """Split the inputs of a job into addresses, and what has to be uploaded first: paths, bytes and frames."""
    places = [item for item in inputs if isinstance(item, str)]
    return places, [item for item in inputs if not isinstance(item, str)]


def list_endpoints() -> Call[list[models.Endpoint]]:
    return Call("GET", _path("batch"), lambda answer: _as(models.Endpoints)(answer).endpoints)


def get_endpoint(endpoint: str) -> Call[models.Endpoint]:
    return Call("GET", _path("batch", endpoint), _as(models.Endpoint))


def put_endpoint(
    endpoint: str, definition: models.BatchEndpoint | Mapping[str, Any], version: int | None
) -> Call[models.Endpoint]:
    headers = {} if version is None else {"If-Match": f'"{version}"'}
    # With a version, a second arrival would find the version of the first.
    return Call(
        "PUT",
        _path("batch", endpoint),
        _as(models.Endpoint),
        body=_json(definition),
        headers=headers,
        repeatable=version is None,
    )


def delete_endpoint(endpoint: str, version: int | None) -> Call[None]:
    headers = {} if version is None else {"If-Match": f'"{version}"'}
    return Call("DELETE", _path("batch", endpoint), _nothing, headers=headers, repeatable=False)


def create_job(
    endpoint: str,
    inputs: Sequence[str],
    deployment: str | None,
    settings: Mapping[str, Any],
    output: Mapping[str, Any],
    key: str | None,
) -> Call[models.Job]:
    """Create a job. key : idempotency key; by default a new one, so that a repeated request makes no second job."""
    body = _some(deployment=deployment) | {"inputs": list(inputs), "overrides": dict(settings), "output": dict(output)}
    headers = {"Idempotency-Key": key or uuid.uuid4().hex}
    return Call("POST", _path("batch", endpoint, "jobs"), _as(models.Job), body=body, headers=headers)


def list_jobs(
    endpoint: str, state: str | None, deployment: str | None, limit: int, after: int | None
) -> Call[models.Jobs]:
    query = _some(state=state, deployment=deployment, limit=limit, after=after)
    return Call("GET", _path("batch", endpoint, "jobs"), _as(models.Jobs), query)


def get_job(endpoint: str, job: str) -> Call[models.Job]:
    return Call("GET", _path("batch", endpoint, "jobs", job), _as(models.Job))


def cancel_job(endpoint: str, job: str) -> Call[models.Job]:
    return Call("DELETE", _path("batch", endpoint, "jobs", job), _as(models.Job), repeatable=False)


def get_logs(endpoint: str, job: str, after: int, limit: int) -> Call[models.Log]:
    return Call("GET", _path("batch", endpoint, "jobs", job, "logs"), _as(models.Log), _some(after=after, limit=limit))


def get_output(endpoint: str, job: str, kind: FrameKind) -> Call[Any]:
    """Download the predictions as Parquet, which keeps their types, and read them as a frame."""

    def read(response: httpx.Response) -> Any:
        import pyarrow.parquet as pq

        return from_arrow(pq.read_table(io.BytesIO(response.content)), kind)

    return Call("GET", _path("batch", endpoint, "jobs", job, "output"), read, {"format": "parquet"})


def download(endpoint: str, job: str, form: Literal["csv", "parquet"], path: Path) -> Call[Path]:
    def read(response: httpx.Response) -> Path:
        from adapters.lake.files import replacing

        with replacing(path) as temporary:
            temporary.write_bytes(response.content)
        return path

    return Call("GET", _path("batch", endpoint, "jobs", job, "output"), read, {"format": form})


def create_link(
    endpoint: str, job: str, form: str, lifetime_s: int, formulas: Literal["escaped", "exact"]
) -> Call[models.Link]:
    query = {"format": form, "expires_in": lifetime_s, "formulas": formulas}
    return Call("POST", _path("batch", endpoint, "jobs", job, "links"), _as(models.Link), query)


def upload(endpoint: str, data: Any, name: str | None, deployment: str | None) -> Call[models.Upload]:
    """Upload a file, bytes, or a frame, which is sent as Parquet. The same content again is the same upload."""
    if isinstance(data, str | Path):
        content: bytes | Path = Path(data)
        if not Path(data).is_file():
            raise SourceError(f"{data}: there is no such file to upload")
        name = name or Path(data).name
    elif isinstance(data, bytes):
        content = data
        if name is None:
            raise SourceError("upload: bytes need a name whose suffix tells their format, such as name='rows.csv'")
    else:
        content, name = _parquet(data), name or "rows.parquet"
    query = _some(name=name, deployment=deployment)
    headers = {"Content-Type": "application/octet-stream"}
    return Call(
        "POST", _path("batch", endpoint, "uploads"), _as(models.Upload), query, headers=headers, content=content
    )


def _parquet(frame: Any) -> bytes:
    import pyarrow.parquet as pq

    from myriad.frames import to_arrow

    sink = io.BytesIO()
    pq.write_table(to_arrow(frame), sink, compression="zstd")
    return sink.getvalue()


def list_triggers() -> Call[list[models.NamedTrigger]]:
    return Call("GET", _path("triggers"), lambda answer: _as(models.Triggers)(answer).hooks)


def put_trigger(name: str, definition: models.Trigger | Mapping[str, Any]) -> Call[models.NamedTrigger]:
    return Call("PUT", _path("triggers", name), _as(models.NamedTrigger), body=_json(definition))


def delete_trigger(name: str) -> Call[None]:
    return Call("DELETE", _path("triggers", name), _nothing, repeatable=False)


def send_files(trigger: str, uris: Sequence[str], message: str | None) -> Call[models.Taken]:
    """Tell a trigger of files, as a CloudEvent. message : its id; the same message again is recorded once."""
    event = {"specversion": "1.0", "id": message or uuid.uuid4().hex, "source": "myriad-python", "type": "files"}
    headers = {"Content-Type": "application/cloudevents+json"}
    body = event | {"data": {"uris": list(uris)}}
    return Call("POST", _path("triggers", trigger), _as(models.Taken), body=body, headers=headers)


def list_subscriptions() -> Call[list[models.NamedSubscription]]:
    return Call("GET", _path("subscriptions"), lambda answer: _as(models.Subscriptions)(answer).subscriptions)


def put_subscription(name: str, definition: models.Subscription | Mapping[str, Any]) -> Call[models.NamedSubscription]:
    return Call("PUT", _path("subscriptions", name), _as(models.NamedSubscription), body=_json(definition))


def delete_subscription(name: str) -> Call[None]:
    return Call("DELETE", _path("subscriptions", name), _nothing, repeatable=False)


def list_messages(subscription: str, state: str | None, limit: int) -> Call[list[models.Message]]:
    query = _some(state=state, limit=limit)
    path = _path("subscriptions", subscription, "messages")
    return Call("GET", path, lambda answer: _as(models.Messages)(answer).messages, query)


def replay(subscription: str, message: str | None) -> Call[models.Replayed]:
    query = _some(message=message)
    path = _path("subscriptions", subscription, "replay")
    return Call("POST", path, _as(models.Replayed), query, repeatable=False)


def read_audit(limit: int) -> Call[list[models.Entry]]:
    return Call("GET", _path("audit"), lambda answer: _as(models.Audit)(answer).entries, {"limit": limit})


def list_reports(fleet: str) -> Call[list[models.Report]]:
    return Call("GET", _path("fleets", fleet, "reports"), lambda answer: _as(models.Reports)(answer).reports)


def get_report(fleet: str, run_id: str | None) -> Call[Page]:
    return Call("GET", _path("fleets", fleet, "report"), lambda answer: Page(answer.text), _some(run_id=run_id))


def is_ready() -> Call[None]:
    return Call("GET", "/readyz", _nothing)


def following(page: models.Jobs) -> int | None:
    """Return the value of `after` for the next page; None on the last one."""
    after = httpx.URL(page.next).params.get("after") if page.next else None
    return int(after) if after else None
