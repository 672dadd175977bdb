"""The report as a page for people, in English and Vietnamese: HTML without scripts, fetching nothing.

Everything is escaped: what HTML reads, and control and direction characters of strangers' names.

The page carries its own style, and `POLICY` is the content security policy that admits that style and
nothing else.
"""

import base64
import hashlib
from collections.abc import Iterable
from datetime import datetime
from html import escape

from docflow.kernel.text import shown
from docflow.signing.report import (
    FAILED,
    INDETERMINATE,
    NOT_SIGNED,
    PASSED,
    Changes,
    Coverage,
    Form,
    Indication,
    Revocation,
    SignatureReport,
    Strength,
    TimestampReport,
    VerificationReport,
)

_STYLE = (
    "body{font:16px/1.5 'Noto Sans',sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;"
    "color:#1a1a1a;background:#fff}h1{font-size:1.5rem}h2{font-size:1.15rem;margin:2rem 0 .5rem}"
    ".verdict{padding:.75rem 1rem;border-left:.4rem solid;font-weight:600}"
    ".passed{border-color:#18794e;background:#e9f7ef}.failed{border-color:#b42318;background:#fdecea}"
    ".open{border-color:#8a6100;background:#fff6e0}table{border-collapse:collapse;width:100%}"
    "th,td{text-align:left;vertical-align:top;padding:.3rem .6rem;border-bottom:1px solid #ddd}"
    "th{width:16rem;font-weight:600}h2,th,td,li,p{overflow-wrap:anywhere}code{font-size:.85em}"
    "@media(max-width:40rem){body{margin:1rem auto}tr{display:block;border-bottom:1px solid #ddd;"
    "padding:.3rem 0}th,td{display:block;width:auto;border:0;padding:.1rem 0}th{font-size:.9em}}"
)
POLICY = (
    "default-src 'none'; style-src 'sha256-"
    + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
Words = tuple[str, str]  # in English, in Vietnamese

_VERDICTS: dict[Indication, tuple[str, Words]] = {
    PASSED: ("passed", ("Valid", "Hợp lệ")),
    FAILED: ("failed", ("Not valid", "Không hợp lệ")),
    INDETERMINATE: ("open", ("Cannot be told", "Chưa xác định được")),
    NOT_SIGNED: ("open", ("Not signed", "Không có chữ ký")),
}
_CHANGES: dict[Changes, Words] = {
    "none": ("nothing", "không có"),
    "long-term-validation": ("validation data only", "chỉ dữ liệu kiểm tra lâu dài"),
    "form-filling": ("signatures or forms", "chữ ký hoặc biểu mẫu"),
    "annotations": ("annotations", "chú thích"),
    "other": ("the document itself", "chính nội dung tài liệu"),
    "unknown": ("not known", "không rõ"),
}
_COVERAGE: dict[Coverage, Words] = {
    "entire-file": ("the whole file", "toàn bộ tệp"),
    "entire-revision": ("the whole version that was signed", "toàn bộ phiên bản đã ký"),
    "contiguous-block": ("a part of the file", "một phần của tệp"),
    "unclear": ("not clear", "không rõ"),
}
_REVOCATION: dict[Revocation, Words] = {
    "good": ("not revoked", "không bị thu hồi"),
    "revoked": ("revoked", "đã bị thu hồi"),
    "unknown": ("not known", "không rõ"),
}
_STRENGTH: dict[Strength, Words] = {
    "recommended": ("recommended", "được khuyến nghị"),
    "legacy": ("still accepted", "còn được chấp nhận"),
    "weak": ("too weak", "quá yếu"),
    "unknown": ("not known", "không rõ"),
}
_STAMPS: dict[str, Words] = {
    "signature": ("over the signature", "trên chữ ký"),
    "content": ("over the content", "trên nội dung"),
    "document": ("over the document", "trên tài liệu"),
}
_FORMS: dict[Form, str] = {
    "pdf": "PDF",
    "cades": "CMS / CAdES",
    "asic-e": "ASiC-E",
    "asic-s": "ASiC-S",
}
_PROVEN: Words = ("proven by a timestamp", "có dấu thời gian chứng minh")
_CLAIMED: Words = ("claimed, not proven", "tự khai, chưa được chứng minh")
_NOT_KNOWN: Words = ("not known", "không rõ")


def html_page(report: VerificationReport) -> str:
    """Return the whole page."""
    size = f"{report.size_bytes:,} bytes" if report.size_bytes else None
    form = _FORMS.get(report.form)
    parts = [
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width"><title>Signature verification</title>',
        f"<style>{_STYLE}</style></head><body>",
        f"<h1>{_both(('Signature verification', 'Kiểm tra chữ ký số'))}</h1>",
        _verdict(report.indication, report.sub_indication),
        _reasons(report.reasons),
        _signers(report.signatures),
        _table(
            [
                (("Verified at", "Thời điểm kiểm tra"), _instant(report.verified_at)),
                (("Form", "Định dạng"), form or _both(_NOT_KNOWN)),
                (("Size", "Kích thước"), size),
                (("SHA-256", ""), report.sha256),
                (("Files inside", "Tệp bên trong"), _text(", ".join(report.files))),
            ]
        ),
        *(_signature(number, one) for number, one in enumerate(report.signatures, 1)),
        "</body></html>",
    ]
    return "".join(parts)


def _signers(signatures: Iterable[SignatureReport]) -> str:
    """Return who signed and when, with the verdict on each: what people look for first."""
    items = "".join(
        f"<li>{_text(one.signer) or _both(_NOT_KNOWN)}: {_both(_VERDICTS[one.indication][1])}"
        f"{_signing_time(one, '; ')}</li>"
        for one in signatures
        if one.kind == "signature"
    )
    return f"<p>{_both(('Signers', 'Những người ký'))}</p><ul>{items}</ul>" if items else ""


def _signing_time(one: SignatureReport, before: str = "") -> str:
    if one.signed_at is None:
        return ""
    proven = _both(_PROVEN if one.time_is_proven else _CLAIMED)
    return f"{before}{_instant(one.signed_at)} ({proven})"


def _signature(number: int, one: SignatureReport) -> str:
    stamp = one.kind == "timestamp"
    what = _both(("Timestamp", "Dấu thời gian") if stamp else ("Signature", "Chữ ký"))
    path = " → ".join(each.subject for each in one.path)
    rows = [
        (("Signer", "Người ký"), _text(one.subject)),
        (("Issuer", "Đơn vị cấp chứng thư"), _text(one.issuer)),
        (("Certificate", "Chứng thư"), _text(one.certificate_sha256)),
        (("Time", "Thời điểm ký"), _signing_time(one)),
        (("Level", "Mức"), _level(one)),
        (("Format", "Khuôn dạng"), _text(one.format)),
        (("Algorithm", "Thuật toán"), _algorithm(one)),
        (("Intact", "Toàn vẹn"), _yes(one.intact)),
        (("Trusted", "Tin cậy"), _yes(one.trusted)),
        (("Revocation", "Thu hồi"), _both(_REVOCATION[one.revocation])),
        (("Covers", "Phạm vi"), _scope(one)),
        (("Changed afterwards", "Thay đổi sau khi ký"), _both(_CHANGES[one.changes_after])),
        (("Timestamps", "Dấu thời gian"), "<br>".join(_stamp(each) for each in one.timestamps)),
        (("Path", "Chuỗi chứng thư"), _text(path)),
    ]
    return (
        f"<h2>{number}. {what}: {_text(one.field)}</h2>"
        f"{_verdict(one.indication, one.sub_indication)}{_reasons(one.reasons)}{_table(rows)}"
    )


def _text(text: str | None) -> str:
    return escape(shown(text)) if text else ""


def _both(words: Words) -> str:
    english, vietnamese = words
    if not vietnamese:
        return escape(english)
    return f'{escape(english)} · <span lang="vi">{escape(vietnamese)}</span>'


def _verdict(indication: Indication, sub_indication: str | None) -> str:
    style, words = _VERDICTS[indication]
    code = f"{indication} / {sub_indication}" if sub_indication else indication
    return f'<p class="verdict {style}">{_both(words)}<br><code>{_text(code)}</code></p>'


def _reasons(reasons: Iterable[str]) -> str:
    items = "".join(f"<li>{_text(one)}</li>" for one in reasons)
    if not items:
        return ""
    return f'<p>{_both(("Reasons", "Lý do (bằng tiếng Anh)"))}</p><ul lang="en">{items}</ul>'


def _table(rows: Iterable[tuple[Words, str | None]]) -> str:
    """Return rows of a name and a value that is HTML already; those without a value are left out."""
    body = "".join(
        f'<tr><th scope="row">{_both(name)}</th><td>{value}</td></tr>'
        for name, value in rows
        if value
    )
    return f"<table>{body}</table>" if body else ""


def _level(one: SignatureReport) -> str | None:
    if one.kind != "signature":
        return None
    return _both(("none", "không đạt mức nào")) if one.level == "none" else one.level


def _algorithm(one: SignatureReport) -> str | None:
    if one.algorithm is None:
        return None
    strength = _both(_STRENGTH[one.strength])
    day = one.algorithm_until.isoformat() if one.algorithm_until else None
    until = "; " + _both((f"until {day}", f"đến {day}")) if day else ""
    return f"{_text(one.algorithm)} ({strength}{until})"


def _scope(one: SignatureReport) -> str:
    if one.covers:
        return _text(", ".join(one.covers))
    scope = _both(_COVERAGE[one.coverage])
    if not one.covered_bytes:
        return scope
    first = (f"the first {one.covered_bytes:,} bytes", f"{one.covered_bytes:,} byte đầu tiên")
    return f"{scope}<br>{_both(first)}"


def _stamp(stamp: TimestampReport) -> str:
    at = _instant(stamp.at) if stamp.at else "?"
    by = f" ({_text(stamp.authority)})" if stamp.authority else ""
    kind, verdict = _both(_STAMPS[stamp.kind]), _both(_VERDICTS[stamp.indication][1])
    why = f" ({_text(' '.join(stamp.reasons))})" if stamp.reasons else ""
    return f"{at}{by}, {kind}: {verdict}{why}"


def _yes(value: bool) -> str:
    return _both(("yes", "có") if value else ("no", "không"))


def _instant(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
