"""Keys for certain endpoints: over every route of the OpenAPI document, nothing of a neighbour is read or changed."""

import pytest
import sqlalchemy as sa
from gateway import SUBSCRIBER, complete, gateway, is_problem, now

from adapters.gateway.tables import META
from domain.gateway.api_keys import SCOPES

SHOP = {"deployments": {"blue": {"fleet": "plain"}}, "default": "blue"}
PAYROLL = {"deployments": {"blue": {"fleet": "rides"}}, "default": "blue"}
HOOK = {"endpoint": "payroll", "debounce_seconds": 0}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gateway")
    with gateway(folder) as gate:
        gate.folder = folder
        gate.root = gate.client(*SCOPES, name="root")
        gate.root.put("/v1/batch/shop", json=SHOP).raise_for_status()
        gate.root.put("/v1/batch/payroll", json=PAYROLL).raise_for_status()
        gate.root.put("/v1/triggers/salaries", json=HOOK).raise_for_status()
        gate.root.put("/v1/subscriptions/ledger", json={"url": SUBSCRIBER, "endpoint": "payroll"}).raise_for_status()
        gate.job = gate.root.post("/v1/batch/payroll/jobs", json={}).json()
        gate.reconciler.step(now())
        complete(gate, gate.job)
        gate.shop = gate.client(*SCOPES, endpoints=("shop",), name="shopkeeper")
        gate.payroll = gate.client(*SCOPES, endpoints=("payroll",), name="accountant")
        yield gate


def rows(made):
    """Everything in the database but the audit log, in which refused requests leave no trace either."""
    with made.store.database.begin() as connection:
        return {table.name: connection.execute(sa.select(table)).all() for table in META.sorted_tables}


def bodies(path):
    """Bodies with which a route would do something."""
    return {
        "/v1/batch/{endpoint}": [PAYROLL, SHOP],
        "/v1/triggers/{hook}": [HOOK, HOOK | {"endpoint": "shop"}, {"uris": ["today/a.csv"]}],
        "/v1/subscriptions/{subscription}": [
            {"url": SUBSCRIBER, "endpoint": "payroll"},
            {"url": SUBSCRIBER, "endpoint": "shop"},
            {"url": SUBSCRIBER},
        ],
    }.get(path, [{}])


def test_no_route_reads_or_changes_anything_of_a_neighbour(made):
    values = {
        "job": made.job["id"],
        "fleet": "rides",
        "hook": "salaries",
        "subscription": "ledger",
        "token": "t.csv.1.x",
    }
    secrets = (made.job["id"], "salaries", "ledger", "rides", "payroll")
    before, refused = rows(made), set()
    paths = made.nobody.get("/openapi.json").json()["paths"]
    for path, operations in paths.items():
        # The job of the neighbour under an endpoint of one's own as well.
        for endpoint in ("payroll", "shop") if "{job}" in path else ("payroll",):
            place = path.format(endpoint=endpoint, **values)
            for method in operations:
                for alias in (place, place.replace("/v1/triggers", "/v1/hooks")):
                    for body in bodies(path):
                        answer = made.shop.request(method, alias, json=body, params={"name": "a.csv"})
                        if "{" in path:
                            assert answer.status_code in (403, 404, 422), (method, alias, body, answer.text)
                            refused |= {(method, path)} if answer.status_code != 422 else set()
                        elif path.startswith("/v1/"):
                            assert answer.status_code == 200, (method, alias)
                            assert not [secret for secret in secrets if secret in answer.text], (method, alias)
    assert len(refused) == sum(len(operations) for path, operations in paths.items() if "{" in path)
    assert rows(made) == before


def test_the_owner_of_an_endpoint_reads_all_of_that_and_no_more(made):
    text = made.payroll.get("/v1/batch").text + made.payroll.get("/v1/triggers").text
    text += made.payroll.get("/v1/subscriptions").text + made.payroll.get("/v1/batch/payroll/jobs").text
    assert all(name in text for name in ("payroll", "salaries", "ledger", made.job["id"]))
    assert '"shop"' not in text
    entries = made.payroll.get("/v1/audit").json()["entries"]
    assert {entry["endpoint"] for entry in entries} == {"payroll"}
    assert {"endpoint.put", "hook.put", "subscription.put", "job.create"} <= {entry["action"] for entry in entries}
    assert {entry["endpoint"] for entry in made.root.get("/v1/audit").json()["entries"]} >= {None, "shop", "payroll"}


def test_a_restricted_key_changes_the_settings_of_its_endpoint_and_never_its_fleet(made):
    faster = {"deployments": {"blue": {"fleet": "plain", "settings": {"retries": 2}}}, "default": "blue"}
    assert made.shop.put("/v1/batch/shop", json=faster).status_code == 200
    added = {"deployments": SHOP["deployments"] | {"green": {"fleet": "rides"}}, "default": "blue"}
    problem = is_problem(made.shop.put("/v1/batch/shop", json=added), 403)
    assert "body.deployments.green.fleet" in problem
    assert "endpoint shop has plain" in problem
    is_problem(made.shop.put("/v1/batch/shop", json=PAYROLL), 403)
    assert made.root.get("/v1/batch/shop").json()["deployments"]["blue"]["fleet"] == "plain"


def test_a_restricted_key_makes_no_endpoint_even_if_it_has_the_name(made):
    client = made.client("operate", endpoints=("later",))
    assert "cannot create it" in is_problem(client.put("/v1/batch/later", json=SHOP), 403)
    is_problem(made.root.get("/v1/batch/later"), 404)


def test_a_fleet_that_is_changed_between_check_and_write_is_not_overwritten(made, monkeypatch):
    """Another operator gives the endpoint another fleet at that very moment."""
    made.root.put("/v1/batch/race", json=SHOP).raise_for_status()
    client, original = made.client("operate", endpoints=("race",)), made.store.endpoints.put

    def put(name, definition, based_on=None):
        monkeypatch.undo()
        made.root.put("/v1/batch/race", json=PAYROLL).raise_for_status()
        return original(name, definition, based_on)

    monkeypatch.setattr(made.store.endpoints, "put", put)
    is_problem(client.put("/v1/batch/race", json=SHOP), 412)
    assert made.root.get("/v1/batch/race").json()["deployments"]["blue"]["fleet"] == "rides"


def test_a_definition_that_changes_hands_between_check_and_write_is_kept(made):
    from domain.gateway.triggers import Trigger

    def check(_):
        made.store.triggers.put("swap", Trigger(endpoint="payroll"))

    assert not made.store.triggers.put("swap", Trigger(endpoint="shop"), check)
    assert made.store.triggers.get("swap").endpoint == "payroll"


@pytest.mark.parametrize("prefix", ["/v1/triggers", "/v1/hooks"])
def test_a_deleted_trigger_drops_its_waiting_files_and_says_how_many(made, prefix):
    made.root.put("/v1/triggers/gone", json=HOOK).raise_for_status()
    made.root.post("/v1/triggers/gone", json={"uris": [f"{made.folder}/today/{name}.csv" for name in "ab"]})
    is_problem(made.shop.delete(f"{prefix}/gone"), 404)
    assert made.root.delete(f"{prefix}/gone").status_code == 204
    assert made.store.triggers.waiting_files("gone") == []
    entry = made.root.get("/v1/audit").json()["entries"][0]
    assert (entry["action"], entry["target"], entry["detail"]) == ("hook.delete", "gone", {"dropped": 2})
    is_problem(made.root.delete(f"{prefix}/gone"), 404)
    is_problem(made.root.post("/v1/triggers/gone", json={"uris": []}), 404)
