"""The report as a page for people: HTML without scripts, fetching nothing, with everything escaped.

The page carries its own style, and `POLICY` is the content security policy that admits that style and
nothing else.
"""

import base64
import hashlib
from collections.abc import Iterable
from html import escape

from docflow.signing.report import (
    FAILED,
    INDETERMINATE,
    NOT_SIGNED,
    PASSED,
    Indication,
    SignatureReport,
    VerificationReport,
)

_STYLE = (
    "body{font:16px/1.5 'Noto Sans',sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;"
    "color:#1a1a1a;background:#fff}h1{font-size:1.5rem}h2{font-size:1.15rem;margin:2rem 0 .5rem}"
    ".verdict{padding:.75rem 1rem;border-left:.4rem solid;font-weight:600}"
    ".passed{border-color:#18794e;background:#e9f7ef}.failed{border-color:#b42318;background:#fdecea}"
    ".open{border-color:#8a6100;background:#fff6e0}table{border-collapse:collapse;width:100%}"
    "th,td{text-align:left;vertical-align:top;padding:.3rem .6rem;border-bottom:1px solid #ddd}"
    "th{width:16rem;font-weight:600}td{overflow-wrap:anywhere}code{font-size:.85em}"
)
POLICY = (
    "default-src 'none'; style-src 'sha256-"
    + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_VERDICTS: dict[Indication, tuple[str, str]] = {
    PASSED: ("passed", "Valid · Hợp lệ"),
    FAILED: ("failed", "Not valid · Không hợp lệ"),
    INDETERMINATE: ("open", "Cannot be told · Chưa xác định được"),
    NOT_SIGNED: ("open", "Not signed · Không có chữ ký"),
}
_CHANGES = {
    "none": "nothing",
    "long-term-validation": "validation data only",
    "form-filling": "signatures or forms",
    "annotations": "annotations",
    "other": "the document itself",
    "unknown": "not known",
}


def html_page(report: VerificationReport) -> str:
    """Return the whole page."""
    parts = [
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width"><title>Signature verification</title>',
        f"<style>{_STYLE}</style></head><body>",
        "<h1>Signature verification · Kiểm tra chữ ký số</h1>",
        _verdict(report.indication, report.sub_indication),
        _reasons(report.reasons),
        _table(
            [
                ("Verified at · Thời điểm kiểm tra", _instant(report.verified_at)),
                ("Form · Định dạng", report.form),
                (
                    "Size · Kích thước",
                    f"{report.size_bytes:,} bytes" if report.size_bytes else None,
                ),
                ("SHA-256", report.sha256),
                ("Files inside · Tệp bên trong", ", ".join(report.files)),
            ]
        ),
        *(_signature(number, one) for number, one in enumerate(report.signatures, 1)),
        "</body></html>",
    ]
    return "".join(parts)


def _signature(number: int, one: SignatureReport) -> str:
    what = "Timestamp · Dấu thời gian" if one.kind == "timestamp" else "Signature · Chữ ký"
    proven = "proven by a timestamp" if one.time_is_proven else "claimed, not proven"
    rows = [
        ("Signer · Người ký", one.subject),
        ("Issuer · Đơn vị cấp chứng thư", one.issuer),
        ("Certificate · Chứng thư", one.certificate_sha256),
        ("Time · Thời điểm ký", f"{_instant(one.signed_at)} ({proven})" if one.signed_at else None),
        ("Level · Mức", one.level if one.kind == "signature" else None),
        ("Format · Khuôn dạng", one.format),
        ("Algorithm · Thuật toán", _algorithm(one)),
        ("Intact · Toàn vẹn", _yes(one.intact)),
        ("Trusted · Tin cậy", _yes(one.trusted)),
        ("Revocation · Thu hồi", one.revocation),
        ("Covers · Phạm vi", _scope(one)),
        ("Changed afterwards · Thay đổi sau khi ký", _CHANGES[one.changes_after]),
        ("Timestamps · Dấu thời gian", "; ".join(_stamps(one))),
        ("Path · Chuỗi chứng thư", " → ".join(each.subject for each in one.path)),
    ]
    return (
        f"<h2>{number}. {what}: {escape(one.field)}</h2>"
        f"{_verdict(one.indication, one.sub_indication)}{_reasons(one.reasons)}{_table(rows)}"
    )


def _verdict(indication: Indication, sub_indication: str | None) -> str:
    style, words = _VERDICTS[indication]
    code = f"{indication} / {sub_indication}" if sub_indication else indication
    return f'<p class="verdict {style}">{words}<br><code>{escape(code)}</code></p>'


def _reasons(reasons: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(one)}</li>" for one in reasons)
    return f"<ul>{items}</ul>" if items else ""


def _table(rows: Iterable[tuple[str, str | None]]) -> str:
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>'
        for name, value in rows
        if value
    )
    return f"<table>{body}</table>" if body else ""


def _algorithm(one: SignatureReport) -> str | None:
    if one.algorithm is None:
        return None
    until = f", until {one.algorithm_until.isoformat()}" if one.algorithm_until else ""
    return f"{one.algorithm} ({one.strength}{until})"


def _scope(one: SignatureReport) -> str:
    if one.covers:
        return ", ".join(one.covers)
    bytes_ = f", the first {one.covered_bytes:,} bytes" if one.covered_bytes else ""
    return one.coverage + bytes_


def _stamps(one: SignatureReport) -> Iterable[str]:
    for stamp in one.timestamps:
        at = _instant(stamp.at) if stamp.at else "?"
        yield (
            f"{stamp.kind} {at} {stamp.indication}"
            + (f" by {stamp.authority}" if stamp.authority else "")
            + "".join(f" ({reason})" for reason in stamp.reasons)
        )


def _yes(value: bool) -> str:
    return "yes · có" if value else "no · không"


def _instant(moment: object) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
