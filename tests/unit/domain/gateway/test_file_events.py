import json

import pytest

from domain.errors import RequestError
from domain.gateway.file_events import FileEvent, file_events, is_input


def record(key="in/a.csv", name="ObjectCreated:Put", **more):
    return {"eventName": name, "s3": {"bucket": {"name": "raw"}, "object": {"key": key, "eTag": "e1", **more}}}


BRIDGE = {
    "detail-type": "Object Created",
    "detail": {"bucket": {"name": "raw"}, "object": {"key": "in/a b.csv", "etag": "e1"}},
}
SEAWEED = {
    "key": "/buckets/raw/in/a.csv",
    "event_type": "create",
    "message": {"new_entry": {"name": "a.csv", "attributes": {"md5": "e1"}}, "new_parent_path": "/buckets/raw/in"},
}


TEST_EVENT = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "raw", "RequestId": "1", "HostId": "x"}


def sns(document, **more):
    message = document if isinstance(document, str) else json.dumps(document)
    return {"Type": "Notification", "MessageId": "1", "TopicArn": "arn:aws:sns:x", "Message": message, **more}


def sqs(*documents):
    return {"Records": [{"messageId": "1", "eventSource": "aws:sqs", "body": json.dumps(one)} for one in documents]}


@pytest.mark.parametrize(
    ("document", "files"),
    [
        (TEST_EVENT, []),
        (sns(TEST_EVENT), []),
        (sqs(TEST_EVENT, {"Records": [record()]}), ["in/a.csv"]),
        (sns({"Records": [record()]}), ["in/a.csv"]),
        (sns(BRIDGE), [FileEvent("s3://raw/in/a b.csv", "e1")]),
        (sqs({"Records": [record()]}, {"Records": [record("in/b.csv")]}), ["in/a.csv", "in/b.csv"]),
        (sqs(sns({"Records": [record()]})), ["in/a.csv"]),
        ({"Messages": [{"MessageId": "1", "Body": json.dumps({"Records": [record()]})}]}, ["in/a.csv"]),
        ({"Records": [{"EventSource": "aws:sns", "Sns": sns({"Records": [record()]})}]}, ["in/a.csv"]),
        (sns("You have chosen to subscribe", Type="SubscriptionConfirmation", SubscribeURL="https://x"), []),
        ({"specversion": "1.0", "type": "x.created", "data": sns({"Records": [record()]})}, ["in/a.csv"]),
        ({"Records": [record()]}, [FileEvent("s3://raw/in/a.csv", "e1")]),
        ({"Records": [record("in/a+b%2Bc%C3%A4.csv")]}, [FileEvent("s3://raw/in/a b+cä.csv", "e1")]),
        ({"Records": [record(versionId="v7")]}, [FileEvent("s3://raw/in/a.csv", "v7")]),
        ({"Records": [record(), record(), record("in/b.csv")]}, [("in/a.csv"), ("in/b.csv")]),
        ({"Records": [record(name="ObjectRemoved:Delete"), record("in/")]}, []),
        ({"Records": []}, []),
        # MinIO wraps the same records, and says s3: before the name.
        ({"EventName": "s3:ObjectCreated:Put", "Records": [record(name="s3:ObjectCreated:Put")]}, ["in/a.csv"]),
        (BRIDGE, [FileEvent("s3://raw/in/a b.csv", "e1")]),
        (BRIDGE | {"detail-type": "Object Deleted"}, []),
        (SEAWEED, [FileEvent("s3://raw/in/a.csv", "e1")]),
        (SEAWEED | {"event_type": "delete"}, []),
        (SEAWEED | {"key": "/topics/x", "message": None}, []),
        (SEAWEED | {"message": SEAWEED["message"] | {"new_entry": {"name": "a.csv", "is_directory": True}}}, []),
        ({"uri": "s3://raw/in/a.csv", "etag": "e1"}, [FileEvent("s3://raw/in/a.csv", "e1")]),
        ({"uris": ["s3://raw/in/a.csv", "s3://raw/in/b.csv"]}, [FileEvent("s3://raw/in/a.csv"), FileEvent("s3://raw/in/b.csv")]),
        ({"specversion": "1.0", "type": "x.created", "data": {"Records": [record()]}}, ["in/a.csv"]),
        ({"specversion": "1.0", "type": "x.created", "subject": "s3://raw/in/a.csv", "data": None}, [FileEvent("s3://raw/in/a.csv")]),
        ({"specversion": "1.0", "type": "com.x.Deleted", "data": {"uri": "s3://raw/in/a.csv"}}, []),
    ],
)  # fmt: skip
def test_files_that_were_written_are_read_out_of_every_format(document, files):
    wished = [FileEvent(f"s3://raw/{one}", "e1") if isinstance(one, str) else one for one in files]
    assert file_events(document) == wished


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ([], "no JSON object"),
        ({"a": 1, "b": 2}, "the body has a, b, which is no format that is known"),
        ({}, "the body has nothing"),
        ({"Records": [{"eventName": "ObjectCreated:Put"}]}, "lacks 's3'"),
        ({"Records": ["x"]}, "lacks"),
        ({"detail-type": "Object Created", "detail": {}}, "lacks 'bucket'"),
        ({"specversion": "1.0", "type": "x", "subject": "nothing", "data": {"a": 1}}, "names no file"),
        (sns("not JSON"), "no JSON text"),
        (sns("[" * 100_000), "no JSON text"),
        (sns({"a": 1}), "the body has a, which is no format"),
        (sns([1]), "no JSON object"),
        (sqs(sns(sns(sns(sns({"uri": "s3://raw/in/a.csv"}))))), "more than 3 deep"),
        ({"Messages": [{"Body": None}]}, "no JSON object"),
    ],
)
def test_what_is_not_understood_is_told(document, told):
    with pytest.raises(RequestError, match=told):
        file_events(document)


@pytest.mark.parametrize(
    ("name", "patterns", "expected"),
    [
        ("a.csv", [], True),
        ("a.csv", ["*.csv"], True),
        ("a.csv", ["*.parquet", "*.csv"], True),
        ("a.CSV", ["*.csv"], False),
        ("a.json", ["*.csv"], False),
        ("_SUCCESS", [], False),
        (".a.csv.swp", [], False),
        ("a.csv.part", [], False),
        ("a.csv.tmp", ["*"], False),
        ("a.csv~", [], False),
        (".uploads/5f2/a.csv", [], False),
        ("../a.csv", [], True),  # Refused by its place, and told.
    ],
)
def test_hidden_and_unfinished_files_are_not_wanted(name, patterns, expected):
    assert is_input(f"s3://raw/in/{name}", patterns) is expected
