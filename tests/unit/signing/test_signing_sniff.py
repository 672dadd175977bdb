import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docflow.signing.sniff import SNIFF_BYTES, sniff

OFFICE = "application/vnd.openxmlformats-officedocument."


def archive(*entries: tuple[str, bytes], compress: bool = True) -> bytes:
    out = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(out, "w", method) as file:
        for name, data in entries:
            file.writestr(name, data, zipfile.ZIP_STORED if name == "mimetype" else method)
    return out.getvalue()


def office(kind: str, folder: str) -> bytes:
    types = (
        '<?xml version="1.0"?><Types><Override PartName="/x" ContentType="'
        f'{OFFICE}{kind}.main+xml"/></Types>'
    ).encode()
    return archive(("[Content_Types].xml", types), ("_rels/.rels", b""), (f"{folder}/a.xml", b""))


CASES = {
    "pdf": (b"%PDF-1.7\n%\xe2\xe3", "application/pdf"),
    "png": (b"\x89PNG\r\n\x1a\n....", "image/png"),
    "jpeg": (b"\xff\xd8\xff\xe0....", "image/jpeg"),
    "tiff little": (b"II*\x00....", "image/tiff"),
    "tiff big": (b"MM\x00*....", "image/tiff"),
    "gif": (b"GIF89a....", "image/gif"),
    "ole": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1..", "application/x-ole-storage"),
    "rtf": (b"{\\rtf1\\ansi}", "application/rtf"),
    "zip": (archive(("a.txt", b"hello")), "application/zip"),
    "empty zip": (archive(), "application/zip"),
    "docx": (office("wordprocessingml.document", "word"), OFFICE + "wordprocessingml.document"),
    "xlsx": (office("spreadsheetml.sheet", "xl"), OFFICE + "spreadsheetml.sheet"),
    "pptx": (
        office("presentationml.presentation", "ppt"),
        OFFICE + "presentationml.presentation",
    ),
    "odt": (
        archive(("mimetype", b"application/vnd.oasis.opendocument.text"), ("content.xml", b"x")),
        "application/vnd.oasis.opendocument.text",
    ),
    "asic": (
        archive(("mimetype", b"application/vnd.etsi.asic-e+zip"), ("a.pdf", b"x")),
        "application/vnd.etsi.asic-e+zip",
    ),
    "a zip that says it is a program": (
        archive(("mimetype", b"application/x-msdownload"), ("a", b"x")),
        "application/zip",
    ),
    "a zip with a folder named word": (archive(("word/a.xml", b"x")), "application/zip"),
    "text": ("Kính gửi: Sở Nội vụ\n".encode(), "text/plain"),
    "text with mark": (b"\xef\xbb\xbfHello", "text/plain"),
    "xml": (b'<?xml version="1.0"?><a/>', "application/xml"),
    "svg": (b'<?xml version="1.0"?>\n<svg xmlns="x"/>', "image/svg+xml"),
    "bare svg": (b"<svg/>", "image/svg+xml"),
    "html": (b"\n <!DOCTYPE html><script>", "text/html"),
    "nothing": (b"", "application/octet-stream"),
    "zeros": (bytes(20), "application/octet-stream"),
    "latin": ("Đã ký".encode("cp1258", "replace") + b"\xe9\xe8", "application/octet-stream"),
    "utf-16": ("Hello".encode("utf-16"), "application/octet-stream"),
    "escape": (b"\x1b[2J", "application/octet-stream"),
    "program": (b"MZ\x90\x00\x03", "application/octet-stream"),
    "a pdf behind junk": (b"junk\n%PDF-1.7", "text/plain"),
}


@pytest.mark.parametrize(("head", "expected"), CASES.values(), ids=CASES)
def test_the_type_is_found_from_the_content(head: bytes, expected: str) -> None:
    assert sniff(head[:SNIFF_BYTES]) == expected


def test_a_character_cut_by_the_end_of_the_head_is_no_fault() -> None:
    text = ("ế" * SNIFF_BYTES).encode()
    for cut in range(SNIFF_BYTES - 3, SNIFF_BYTES + 1):
        assert sniff(text[:cut]) == "text/plain"


def test_a_broken_character_inside_is_a_fault() -> None:
    assert sniff(b"abc\xe1\xbb" + b"x" * 40) == "application/octet-stream"


@given(st.binary(max_size=200), st.sampled_from([case[0] for case in CASES.values()]))
def test_it_never_fails(noise: bytes, start: bytes) -> None:
    assert "/" in sniff(start[: len(start) // 2] + noise)
    assert "/" in sniff(noise)
