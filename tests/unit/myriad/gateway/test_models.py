"""The models of the client are those of the gateway's OpenAPI document."""

import importlib

import pytest

from docs.generate_client import gateway_document
from myriad.gateway import models

SCHEMAS = gateway_document()["components"]["schemas"]
HINT = "the document has changed: run `python -m docs.generate_client`"


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_has_its_model_with_the_same_fields(name):
    model = getattr(models, name, None)
    assert model is not None, HINT
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    assert set(fields) == set(SCHEMAS[name].get("properties", {})), HINT
    required = {name for name, field in fields.items() if field.is_required()}
    assert required == set(SCHEMAS[name].get("required", [])), HINT


def test_no_model_is_left_of_a_schema_that_is_gone():
    own = {name for name, value in vars(models).items() if getattr(value, "__module__", "") == models.__name__}
    assert own == set(SCHEMAS), HINT


def test_a_field_that_a_later_gateway_adds_is_no_error():
    link = models.Link.model_validate({"url": "/x", "expires_at": "2026-01-01T00:00:00Z", "new": 1})
    assert link.url == "/x"


def test_the_generator_keeps_names_of_properties_that_are_keywords():
    module = importlib.import_module("docs.generate_client")
    schema = {"type": "object", "properties": {"title": {"type": "string", "maxLength": 3}, "pattern": {"title": "P"}}}
    plain = module.plain_document({"openapi": "3.1.0", "components": {"schemas": {"A": schema}}})
    assert plain["components"]["schemas"]["A"]["properties"] == {"title": {"type": "string"}, "pattern": {}}
