"""API store: versions made through MLflow's public API."""

from registry_store import Open, client, entries, fill, live

from adapters.registry import Registration


def test_api_writer_removes_a_double_that_a_killed_one_left(opened: Open) -> None:
    registry = opened("api")
    fill(registry, entries(1))
    first = client(registry).get_model_version("m3.n0", "1")
    client(registry).create_model_version("m3.n0", first.source, first.run_id, tags=first.tags)
    assert fill(registry, entries(1)) == [Registration("m3.n0", 1, False)]
    assert live(registry) == [("m3.n0", "a1-0")]
