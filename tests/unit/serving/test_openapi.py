"""The OpenAPI document has what generated clients need, and a page that shows it without scripts."""

import pytest
from gateway import gateway

from serving.openapi import OPEN


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    with gateway(tmp_path_factory.mktemp("gateway")) as found:
        yield found


@pytest.fixture(scope="module")
def document(made):
    return made.nobody.get("/openapi.json").json()


def operations(document):
    return [operation for methods in document["paths"].values() for operation in methods.values()]


def maps(part):
    """Every schema of an object that states no properties, with its name if it has one."""
    if isinstance(part, dict):
        if part.get("type") == "object" and "properties" not in part:
            yield part
        for child in part.values():
            yield from maps(child)
    elif isinstance(part, list):
        for child in part:
            yield from maps(child)


def test_operations_are_named_as_methods_of_a_client(document):
    names = [operation["operationId"] for operation in operations(document)]
    assert len(set(names)) == len(names)
    assert {"create_job", "list_jobs", "put_endpoint", "delete_endpoint", "upload_file", "readyz"} <= set(names)


def test_deployments_are_typed(document):
    deployments = document["components"]["schemas"]["Endpoint"]["properties"]["deployments"]
    assert deployments["additionalProperties"] == {"$ref": "#/components/schemas/BatchDeployment"}
    assert deployments["propertyNames"]["pattern"].startswith("^[a-z0-9]")
    assert "patternProperties" not in str(document)


def test_answers_that_are_json_name_a_model(document):
    for operation in operations(document):
        for status, answer in operation["responses"].items():
            content = answer.get("content", {}).get("application/json")
            if status.startswith("2") and content is not None:
                assert "$ref" in content["schema"], operation["operationId"]


def test_the_page_shows_every_operation_and_loads_nothing(made, document):
    answer = made.nobody.get("/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    for operation in operations(document):
        assert f'id="{operation["operationId"]}"' in answer.text
    for schema in document["components"]["schemas"]:
        assert f'id="schema-{schema}"' in answer.text
    for loader in ("<script", "src=", "<link", "@import", "url("):
        assert loader not in answer.text
    assert "/docs" in OPEN
