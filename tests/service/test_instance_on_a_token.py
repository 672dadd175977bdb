"""A whole instance whose keys of confidential items are in a PKCS#11 token (SoftHSM 2)."""

from pathlib import Path

import pytest

from docflow.audit.verify import verify_everything
from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import UnavailableError
from tests.classified_support import MARKER, has_marker, in_folder, in_tables, marked_pdf
from tests.office_support import CLERK, HEAD, LEADER, SPECIALIST, Instance, copy_instance
from tests.unit.storage.test_sealing_token import (
    LABEL,
    module,
    pin_file,
    tokens,
)

pkcs11 = pytest.importorskip("pkcs11")

__all__ = ["pin_file", "tokens"]  # fixtures


def opened(folder: Path, clock: ManualClock, pin: Path) -> Instance:
    instance = Instance(
        folder,
        f"sqlite:///{folder / 'docflow.sqlite3'}",
        clock,
        key_provider="pkcs11",
        key_pkcs11_module=module(),
        key_pkcs11_token=LABEL,
        key_pkcs11_pin_file=pin,
    )
    instance.clear(SPECIALIST, HEAD, LEADER, CLERK)
    return instance


def test_a_confidential_document_is_posted_signed_and_opened(
    tmp_path: Path, prepared: Path, clock: ManualClock, tokens: Path, pin_file: Path
) -> None:
    folder = tmp_path / "var"
    copy_instance(prepared, folder)
    instance = opened(folder, clock, pin_file)
    document = instance.to_signed(instance.sealed_draft(marked_pdf(), subject=MARKER))
    assert instance.show(HEAD, document).row["subject"] == MARKER
    for file in instance.rows("files", document_id=document):
        with instance.services.desk.vault.open(file) as source:
            assert has_marker(source.read())
    assert {row["provider"] for row in instance.rows("data_keys")} == {"pkcs11"}
    assert not has_marker(in_tables(instance.database))
    at_rest = in_folder(folder)
    assert [path for path, data in at_rest.items() if has_marker(data)] == []
    assert not [path for path in at_rest if path.startswith("keys/")]
    instance.services.sequencer.run()
    report = verify_everything(
        instance.database,
        instance.services.store,
        instance.services.log_key.verifier,
        contents=True,
        vault=instance.services.desk.vault,
    )
    assert report.findings == ()
    instance.close()


def test_a_token_that_is_gone_opens_nothing_and_says_so(
    tmp_path: Path, prepared: Path, clock: ManualClock, tokens: Path, pin_file: Path
) -> None:
    folder = tmp_path / "var"
    copy_instance(prepared, folder)
    instance = opened(folder, clock, pin_file)
    document = instance.sealed_draft(marked_pdf(), subject=MARKER)
    away = tokens.with_name("away")
    tokens.rename(away)
    try:
        with pytest.raises(UnavailableError) as refused:
            instance.show(HEAD, document)
        assert refused.value.code == "key-provider-unavailable"
        assert not has_marker(refused.value.detail.encode())
    finally:
        away.rename(tokens)
    assert instance.show(HEAD, document).row["subject"] == MARKER
    instance.close()
