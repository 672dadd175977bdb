"""What the tests of the S3 store share: bytes, and every call there is."""

import random
from collections.abc import Callable

import pytest

from docflow.kernel.errors import DocflowError
from docflow.storage import StagedFile, Staging, content_key
from docflow.storage.s3 import S3Store

SMALL = random.Random(1).randbytes(100_000)  # noqa: S311 - bytes to look at
LARGE = random.Random(2).randbytes(11 * 2**20)  # noqa: S311 - three parts
FOREVER = 1_000_000


def stage(staging: Staging, data: bytes) -> tuple[str, StagedFile]:
    receiving = staging.begin()
    receiving.write(data)
    staged = receiving.finish()
    return content_key(staged.sha256), staged


def nothing_is_there(direct: S3Store, key: str) -> None:
    assert direct.size(key) is None
    uploads = direct.client._list_multipart_uploads(
        direct.options.bucket, prefix=direct.options.object_name(key)
    )
    assert uploads.uploads == []


def reads(store: S3Store, key: str) -> bytes:
    with store.open(key) as file:
        return file.read()


def every_call(store: S3Store, staging: Staging) -> dict[str, Callable[[], object]]:
    key, staged = stage(staging, SMALL)
    return {
        "put": lambda: store.put(key, staged),
        "open": lambda: store.open(key),
        "size": lambda: store.size(key),
        "delete": lambda: store.delete(key),
        "publish": lambda: store.publish("log/checkpoint", b"x"),
        "objects": lambda: list(store.objects("")),
        "require": store.require,
    }


def refusals(store: S3Store, staging: Staging) -> dict[str, DocflowError]:
    """Call everything; return what each call was refused with."""
    found = {}
    for name, call in every_call(store, staging).items():
        with pytest.raises(DocflowError) as refused:
            call()
        found[name] = refused.value
    return found
