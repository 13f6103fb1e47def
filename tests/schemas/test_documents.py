import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from schemas import examples as ex
from schemas.cloud_events import EVENT_TYPES, ORDER_RECORDED
from schemas.codec import encode
from schemas.documents import DOCS, async_api, documents, json_schema
from schemas.topics import TOPICS
from tests.schemas.decoding import decode

ROOT = Path(__file__).parents[2]


def test_the_committed_documents_are_the_generated_ones():
    generated = documents()
    for path, text in generated.items():
        assert (ROOT / DOCS / path).read_text("utf-8") == text, "run `python -m schemas.documents`"
    assert {path.name for path in (ROOT / DOCS / "schemas").iterdir()} == {
        path.name for path in generated if path.parent.name == "schemas"
    }


@pytest.mark.parametrize("event_type", EVENT_TYPES.values(), ids=lambda event_type: event_type.name)
def test_every_schema_is_valid_and_accepts_its_example(event_type):
    schema = json_schema(event_type)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(encode(ex.EXAMPLES[event_type.struct])), schema)


@pytest.mark.parametrize(
    "values",
    [{"quantity": 0}, {"line_total": 1.5}, {"sku": "SKÜ"}, {"channel": "a:b"}, {"currency": "eur"}, {"type": "stolen"}],
    ids=str,
)
def test_schema_and_codec_refuse_the_same_values(values):
    body = {**json.loads(encode(ex.ORDER)), **values}
    key = f"{body['channel']}:{body['sku']}".encode()
    assert decode(TOPICS[0], (key, json.dumps(body).encode())).rejects
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(body, json_schema(ORDER_RECORDED))


def references(node):
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from references(item)


def test_every_reference_of_the_async_api_document_leads_somewhere():
    document = async_api()
    for reference in references(document):
        if reference.startswith("./"):
            assert (ROOT / DOCS / reference).is_file()
        else:
            node = document
            for part in reference.removeprefix("#/").split("/"):
                node = node[part]


def test_the_async_api_document_describes_every_topic_and_tells_how_to_read_and_write_them():
    document = yaml.safe_load((ROOT / DOCS / "asyncapi.yaml").read_text("utf-8"))
    assert [channel["address"] for channel in document["channels"].values()] == [
        topic.full_name("{prefix}") for topic in TOPICS
    ]
    assert "murmur2_random" in document["info"]["description"]
    assert "read_committed" in document["info"]["description"]
