"""Both clients against a real gateway: jobs from the submission to the frame, definitions, errors and retries."""

import asyncio
import inspect
import re
from http import HTTPStatus

import httpx
import pandas as pd
import pyarrow as pa
import pytest
from gateway import HOSTS, complete, gateway, now

import myriad
from docs.generate_client import gateway_document
from domain.data.tables import PREDICTIONS
from domain.errors import SettingsError, SourceError
from myriad.gateway import calls
from myriad.gateway.async_client import AsyncClient
from myriad.gateway.client import Client

ENDPOINT = {"deployments": {"blue": {"fleet": "rides"}}, "default": "blue"}
SUBSCRIPTION = {"url": f"https://{HOSTS[0]}/hooks", "events": ["job.completed"]}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    with gateway(tmp_path_factory.mktemp("gateway")) as served:
        operator = served.client("operate", "score", "read", "admin", name="operator")
        served.key = operator.headers["Authorization"].removeprefix("Bearer ")
        operator.put("/v1/batch/rides", json=ENDPOINT).raise_for_status()
        yield served


@pytest.fixture
def client(made):
    with Client(made.url, made.key) as opened:
        yield opened


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "rides.csv"
    path.write_text("ride,city,route,distance,weather\n1,ulm,a,2.5,dry\n")
    return path


class Broken(httpx.BaseTransport):
    """A network that loses the answers to the first requests, which have arrived."""

    def __init__(self, losses, method="POST"):
        self.losses, self.method, self.sent = losses, method, []
        self._real = httpx.HTTPTransport()

    def close(self):
        self._real.close()

    def handle_request(self, request):
        self.sent.append(request)
        answer = self._real.handle_request(request)
        if request.method == self.method and len(self.sent) <= self.losses:
            answer.read()
            raise httpx.ReadError("connection reset", request=request)
        return answer


@pytest.fixture(autouse=True)
def no_waits(monkeypatch):
    monkeypatch.setattr("myriad.gateway.retries._MAX_WAIT_S", 0.0)


def test_a_job_is_submitted_with_a_file_and_a_frame(made, client, rows):
    job = client.submit("rides", [rows, pd.read_csv(rows)], settings={"retries": 1})
    assert job.state == "queued"
    assert [uri.rpartition("/")[2] for uri in job.inputs] == ["rides.csv", "rows.parquet"]
    assert job.settings.retries == 1
    assert client.job("rides", job.id).id == job.id
    assert next(client.jobs("rides", page=1)).id == job.id
    assert client.cancel(job).reason == "cancelled by operator"


def test_pages_of_jobs_are_followed(client):
    ids = [client.submit("rides").id for _ in range(3)]
    listed = [job.id for job in client.jobs("rides", page=1)]
    assert listed[:3] == ids[::-1]
    assert len(set(listed)) == len(listed)


def count_of_jobs(made):
    with Client(made.url, made.key) as client:
        return len(list(client.jobs("rides", page=200)))


def test_a_lost_answer_makes_no_second_job(made):
    before = count_of_jobs(made)
    network = Broken(losses=2)
    with Client(made.url, made.key, transport=network) as client:
        job = client.submit("rides")
    keys = {request.headers["idempotency-key"] for request in network.sent}
    assert len(network.sent) == 3
    assert keys == {job.idempotency_key}
    assert count_of_jobs(made) == before + 1


def test_a_request_that_must_not_be_repeated_is_not(made, client):
    job = client.submit("rides")
    network = Broken(losses=1, method="DELETE")
    with (
        Client(made.url, made.key, transport=network) as broken,
        pytest.raises(myriad.GatewayUnreachableError, match="not known whether"),
    ):
        broken.cancel(job)
    assert len(network.sent) == 1


def test_a_busy_gateway_is_asked_again_and_a_refusal_is_not():
    answers = [httpx.Response(429, headers={"Retry-After": "0"}), httpx.Response(503), httpx.Response(200, json={})]
    transport = httpx.MockTransport(lambda request: answers.pop(0))
    Client("http://gateway", transport=transport).ready()
    assert not answers
    asked = []

    def refuse(request):
        asked.append(request)
        return httpx.Response(403, text="<html>a proxy</html>")

    with pytest.raises(myriad.GatewayProblemError, match="403 Forbidden: <html>a proxy"):
        Client("http://gateway", transport=httpx.MockTransport(refuse)).ready()
    assert len(asked) == 1


def test_no_answer_at_all_is_told_after_all_attempts():
    with pytest.raises(myriad.GatewayUnreachableError, match=r"gateway http://127.0.0.1:9: GET /readyz"):
        Client("http://127.0.0.1:9", attempts=2).ready()
    with pytest.raises(SettingsError, match="not an address"):
        Client("127.0.0.1:9")


def test_a_problem_has_title_detail_and_fields(client):
    with pytest.raises(myriad.GatewayProblemError) as caught:
        client.submit("rides", ["s3://elsewhere/a.csv"])
    problem = caught.value
    assert (problem.status, problem.title) == (422, HTTPStatus(422).phrase)
    assert set(problem.fields) == {"body.inputs.0"}
    assert "s3://elsewhere" in str(problem)
    with pytest.raises(myriad.GatewayProblemError, match="404 Not Found: endpoint nope"):
        client.endpoint("nope")
    assert isinstance(problem, myriad.MyriadError)


def test_what_cannot_be_uploaded_is_told(client, tmp_path):
    with pytest.raises(SourceError, match="no such file"):
        client.upload("rides", tmp_path / "nothing.csv")
    with pytest.raises(SourceError, match=r"name='rows\.csv'"):
        client.upload("rides", b"a,b")
    assert client.upload("rides", b"ride,route\n", name="b.csv").bytes == 11


def test_a_job_is_awaited_until_it_ends(made, client):
    job = client.submit("rides")
    with pytest.raises(myriad.JobPendingError, match="is queued after 0 s"):
        client.wait(job, timeout_s=0)
    client.cancel(job)
    made.reconciler.step(now())
    with pytest.raises(myriad.JobFailedError, match="cancelled before it began") as caught:
        client.wait(job, every_s=0.01)
    assert caught.value.job.id == job.id


def test_the_predictions_of_a_job_are_a_frame_a_file_and_a_link(made, client, tmp_path):
    job = client.submit("rides")
    made.reconciler.step(now())
    table = made.lake.table("rides", PREDICTIONS)
    schema = PREDICTIONS.file_schema
    columns = {name: pa.nulls(9, schema.field(name).type) for name in schema.names}
    predicted = pa.table(columns | {"segment": pa.array(["city=ulm/route=a"] * 9)}, schema=schema)
    table.replace([table.stage(predicted, part="input-abc")], lambda file: False)
    complete(made, {"fleet": "rides", "id": job.id})
    done = client.wait(job, timeout_s=60, every_s=0.01)
    frame = client.output(done)
    assert set(frame["city"]) == {"ulm"}
    assert client.output(done, as_="arrow").num_rows == len(frame) == 9
    assert client.download(done, tmp_path / "out.csv").read_text().count("\n") == 10
    assert made.nobody.get(client.link(done, lifetime_s=60).url).status_code == 200
    assert client.logs(done, limit=2).after == 2


def test_triggers_and_subscriptions_are_defined_used_and_deleted(client, made):
    assert client.put_trigger("landing", {"endpoint": "rides"}).endpoint == "rides"
    assert "landing" in [trigger.name for trigger in client.triggers()]
    first = client.send_files("landing", ["extra/a.csv"], message="m1")
    assert first.repeated is False
    assert client.send_files("landing", ["extra/a.csv"], message="m1").repeated is True
    client.delete_trigger("landing")
    assert client.put_subscription("app", SUBSCRIPTION).events == ["job.completed"]
    assert client.messages("app") == []
    assert client.replay("app").messages == 0
    client.delete_subscription("app")
    assert client.subscriptions() == []
    assert "subscription" in " ".join(entry.action for entry in client.audit())


def test_an_endpoint_is_changed_in_the_version_that_was_read(client):
    made = client.put_endpoint("second", ENDPOINT)
    assert made.deployments["blue"].fleet == "rides"
    changed = client.put_endpoint("second", ENDPOINT | {"default": "blue"}, version=made.version)
    with pytest.raises(myriad.GatewayProblemError, match="412"):
        client.put_endpoint("second", ENDPOINT, version=changed.version + 7)
    assert {"rides", "second"} <= {endpoint.name for endpoint in client.endpoints()}
    client.delete_endpoint("second")


def test_the_awaited_client_does_the_same(made, rows):
    async def session():
        async with AsyncClient(made.url, made.key) as client:
            await client.ready()
            jobs = await asyncio.gather(*(client.submit("rides", [rows]) for _ in range(3)))
            listed = [job.id async for job in client.jobs("rides", page=2)]
            assert {job.id for job in jobs} <= set(listed)
            for job in jobs:
                await client.cancel(job)
            made.reconciler.step(now())
            with pytest.raises(myriad.JobFailedError):
                await client.wait(jobs[0], every_s=0.01)
            with pytest.raises(myriad.GatewayProblemError, match="404"):
                await client.endpoint("nope")

    asyncio.run(session())


def test_a_lost_answer_makes_no_second_job_of_the_awaited_client(made):
    class Losing(httpx.AsyncBaseTransport):
        sent = 0

        async def handle_async_request(self, request):
            self.sent += 1
            async with httpx.AsyncClient(timeout=60) as real:
                answer = await real.request(
                    request.method, request.url, headers=request.headers, content=request.content
                )
            if self.sent == 1:
                raise httpx.ReadError("connection reset", request=request)
            return httpx.Response(
                answer.status_code, headers={"content-type": "application/json"}, content=answer.content
            )

    before = count_of_jobs(made)

    async def session():
        network = Losing()
        async with AsyncClient(made.url, made.key, transport=network) as client:
            await client.submit("rides")
        return network.sent

    assert asyncio.run(session()) == 2
    assert count_of_jobs(made) == before + 1


def signatures(kind):
    return {
        name: str(inspect.signature(value).replace(return_annotation=inspect.Signature.empty))
        for name, value in vars(kind).items()
        if not name.startswith("_")
    }


def test_both_clients_have_the_same_methods():
    assert signatures(Client) == signatures(AsyncClient)


def example(parameter):
    """An argument that a function of calls.py takes."""
    if parameter.name in ("limit", "after", "lifetime_s", "version"):
        return 1
    if parameter.name in ("inputs", "uris"):
        return ["extra/a.csv"]
    if parameter.name in ("settings", "output", "definition"):
        return {}
    return b"content" if parameter.name == "data" else "some"


def test_every_operation_of_the_document_has_its_call():
    functions = [value for value in vars(calls).values() if inspect.isfunction(value)]
    functions = [value for value in functions if "Call[" in str(inspect.signature(value).return_annotation)]
    made = [value(*map(example, inspect.signature(value).parameters.values())) for value in functions]
    known = {(call.method, call.path) for call in made}
    for path, operations in gateway_document()["paths"].items():
        if path in ("/healthz", "/v1/links/{token}"):
            continue  # For probes, and for whoever has a link.
        pattern = re.compile(re.sub(r"{\w+}", "[^/]+", path))
        methods = {method for method, place in known if pattern.fullmatch(place)}
        assert {method.upper() for method in operations} <= methods, path
