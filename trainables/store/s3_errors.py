"""Classifies the failures of S3 servers as transient or as refusals, and explains them to people."""

from __future__ import annotations

import re
from dataclasses import dataclass

from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from trainables.errors import StoreError

PASSING_CODES = (
    "SlowDown",
    "RequestTimeout",
    "InternalError",
    "ServiceUnavailable",
    "OperationAborted",
    "BadDigest",
    "XAmzContentSHA256Mismatch",
    "IncompleteBody",
)
IDENTITY_CODES = (
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "InvalidToken",
    "ExpiredToken",
    "TokenRefreshRequired",
)
NO_CREDENTIALS = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.MetadataRetrievalError,
)
NO_ANSWER = (
    boto.HTTPClientError,
    boto.ConnectionError,
    boto.IncompleteReadError,
)


class NotConfirmed(Exception):
    """The server accepted the object, but does not show it as it was sent."""


class NotS3(Exception):
    """The answer of the endpoint is not that of an S3 server."""


FAILURES = (boto.ClientError, boto.BotoCoreError, ResponseParserError, NotConfirmed, NotS3)


@dataclass(frozen=True)
class Place:
    """The store in which a failure occurred."""

    uri: str
    bucket: str
    endpoint: str


def explain(error: Exception, doing: str, store: Place) -> StoreError:
    """`error` as a message that names the store, the endpoint and what to do, and that cannot contain credentials.

    botocore's own message is left out: it contains the endpoint as it was typed, and the server's text.
    """
    endpoint = re.sub(r"//[^/]*@", "//", store.endpoint)  # a login in the URL is a secret
    place = f"store {store.uri} at {endpoint}"
    kind = type(error).__name__
    if isinstance(error, NO_CREDENTIALS):
        return StoreError(
            f"{place}: no usable credentials found while {doing} ({kind}): "
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the machine a role"
        )
    if isinstance(error, boto.SSLError):
        return StoreError(
            f"{place}: no secure connection while {doing}: is it https? Set AWS_CA_BUNDLE for a private certificate"
        )
    if isinstance(error, NO_ANSWER):
        return StoreError(
            f"{place} does not answer while {doing} ({kind}): start it, or correct the endpoint (AWS_ENDPOINT_URL_S3)"
        )
    if isinstance(error, NotConfirmed):
        return StoreError(f"{place} accepted the object, but it {error}, while {doing}: repair that server")
    if isinstance(error, ResponseParserError | NotS3):
        return StoreError(f"{place} does not answer like an S3 server while {doing}: correct the endpoint")
    if not isinstance(error, boto.ClientError):
        return StoreError(f"{place}: {kind} while {doing}: correct the AWS settings in the environment")
    code, status = code_of(error), status_of(error)
    answer = str(status) if code == str(status) else f"{status} {code}"
    if code == "NoSuchBucket":
        return StoreError(f"bucket {store.bucket} does not exist at {endpoint}: create it, or correct `store`")
    if code == "RequestTimeTooSkewed":
        return StoreError(f"{place} refuses the time of this machine while {doing} ({answer}): set its clock")
    if code in IDENTITY_CODES:
        return StoreError(
            f"{place} refuses the credentials while {doing} ({answer}): correct or renew AWS_ACCESS_KEY_ID, "
            "AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN"
        )
    if is_refusal(error):
        return StoreError(
            f"{place} denies access while {doing} ({answer}): "
            "allow these credentials to list the bucket and to read and write objects under the prefix"
        )
    if is_passing(error):
        return StoreError(f"{place} answers {answer} while {doing}: try again later")
    return StoreError(f"{place} answers {answer} while {doing}: correct endpoint, region and bucket")


def code_of(error: boto.ClientError) -> str:
    """The server's error code, "" where it sent none."""
    return str(error.response.get("Error", {}).get("Code", ""))


def status_of(error: boto.ClientError) -> int:
    """The HTTP status of the answer, 0 where there is none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def is_refusal(error: Exception) -> bool:
    """Whether the failure is about the identity of the client or the server, not about the request."""
    if isinstance(error, boto.ClientError):
        # An expired token is a 400 at Amazon, and the answer to HEAD has no body to say so.
        return status_of(error) in (401, 403) or code_of(error) in (*IDENTITY_CODES, "400")
    return isinstance(error, (*NO_CREDENTIALS, boto.SSLError, ResponseParserError, NotS3))


def is_passing(error: Exception) -> bool:
    """Whether the same request may succeed a moment later."""
    if isinstance(error, boto.ClientError):
        status = status_of(error)
        return status in (408, 409, 429) or (status >= 500 and status != 501) or code_of(error) in PASSING_CODES
    return isinstance(error, (*NO_ANSWER, NotConfirmed))
