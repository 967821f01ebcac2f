"""Quick checks of an S3 server: reachable, accessible, consistent.

Everything else goes through `adapters/lake/files.py` and Delta, which retry while a server is away.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from domain.errors import LakeError

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

__all__ = ["Bucket"]

_TIMEOUT_S = 5.0
_DENIED = {"403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"}


class Bucket:
    """The bucket and folder of an s3:// URI. Address and keys come from the AWS_* variables."""

    def __init__(self, uri: str) -> None:
        self.uri = uri.rstrip("/")
        self.name, _, self.prefix = self.uri.removeprefix("s3://").partition("/")

    def reach(self) -> datetime:
        """Return the server's time. Raises LakeError if it is unreachable, refuses access or lacks the bucket."""
        with self._translated():
            answer = self._client().list_objects_v2(Bucket=self.name, Prefix=self.prefix, MaxKeys=1)
        header: str = answer["ResponseMetadata"]["HTTPHeaders"].get("date", "")
        return parsedate_to_datetime(header) if header else datetime.now(UTC)

    def _probe_key(self) -> str:
        """Return the key of an object to try things with; beside the fleets, as some stores keep empty folders."""
        return f"{self.prefix}/.doctor-{uuid.uuid4().hex}".lstrip("/")

    def round_trip(self) -> None:
        """Write, read back and delete a small object."""
        key, content = self._probe_key(), uuid.uuid4().bytes
        with self._translated():
            client = self._client()
            client.put_object(Bucket=self.name, Key=key, Body=content)
            stored = client.get_object(Bucket=self.name, Key=key)["Body"].read()
            client.delete_object(Bucket=self.name, Key=key)
        if stored != content:
            raise LakeError(
                f"{self.uri}: an object reads back differently from what was written; use another S3 server"
            )

    def refuses_second(self) -> bool:
        """Return whether a conditional put of an existing object fails, as commits require."""
        from botocore.exceptions import ClientError

        key = self._probe_key()
        with self._translated():
            client = self._client()
            client.put_object(Bucket=self.name, Key=key, Body=b"first", IfNoneMatch="*")
            try:
                client.put_object(Bucket=self.name, Key=key, Body=b"second", IfNoneMatch="*")
                refused = False
            except ClientError as exc:
                refused = _code(exc) in ("PreconditionFailed", "412", "ConditionalRequestConflict")
            unchanged = client.get_object(Bucket=self.name, Key=key)["Body"].read() == b"first"
            client.delete_object(Bucket=self.name, Key=key)
        return refused and unchanged

    def unfinished_uploads(self) -> Iterator[tuple[str, str, datetime]]:
        """Yield key, id and start time of unfinished multipart uploads below the folder."""
        with self._translated():
            pages = self._client().get_paginator("list_multipart_uploads")
            for page in pages.paginate(Bucket=self.name, Prefix=f"{self.prefix}/".lstrip("/")):
                for upload in page.get("Uploads", []):
                    yield upload["Key"], upload["UploadId"], upload["Initiated"]

    def abort_upload(self, key: str, upload_id: str) -> None:
        """Abort an unfinished upload, which frees its storage. Ignores one that no longer exists."""
        from botocore.exceptions import ClientError

        with self._translated():
            try:
                self._client().abort_multipart_upload(Bucket=self.name, Key=key, UploadId=upload_id)
            except ClientError as exc:
                if _code(exc) != "NoSuchUpload":
                    raise

    def _client(self) -> Any:
        import boto3
        from botocore.config import Config

        config = Config(retries={"total_max_attempts": 1}, connect_timeout=_TIMEOUT_S, read_timeout=_TIMEOUT_S)
        return boto3.session.Session().client("s3", config=config)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError, NoCredentialsError

        try:
            yield
        except ClientError as exc:
            raise LakeError(self._refusal(exc)) from exc
        except NoCredentialsError as exc:
            raise LakeError(f"{self.uri}: no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY") from exc
        except EndpointConnectionError as exc:
            raise LakeError(f"{self.uri}: no S3 server answers: {exc}; start it, or set AWS_ENDPOINT_URL") from exc
        except BotoCoreError as exc:
            raise LakeError(f"{self.uri}: the S3 server cannot be used: {exc}; check AWS_ENDPOINT_URL") from exc

    def _refusal(self, exc: "ClientError") -> str:
        code = _code(exc)
        if code in ("NoSuchBucket", "404"):
            return f"{self.uri}: bucket {self.name} does not exist; create it, or set MYRIAD_LAKE to one that exists"
        if code in _DENIED:
            return (
                f"{self.uri}: access refused ({code}); AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be those of an "
                f"account that may list, read, write and delete in bucket {self.name}"
            )
        return f"{self.uri}: the S3 server answers {code}: {exc.response.get('Error', {}).get('Message', '')}"


def _code(exc: "ClientError") -> str:
    return str(exc.response.get("Error", {}).get("Code", ""))
