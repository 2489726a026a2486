"""A receipt as a PDF: one page that says what was bought, paid and sealed, with a code that leads to its proof."""

from __future__ import annotations

import datetime as dt
import io
from pathlib import Path

import segno
from django.conf import settings
from django.utils.translation import gettext as _
from fpdf import FPDF

from core import language
from sales.bought import BoughtRow

_FONTS = Path(settings.BASE_DIR) / "static" / "vendor" / "fonts"
_LEFT_MM = 20
_LABEL_MM = 42


def receipt_pdf(row: BoughtRow, *, noun: str, proof_url: str, now: dt.datetime) -> bytes:
    pdf = FPDF(format="A4", unit="mm")
    for subset in ("latin", "latin-ext"):
        for style, weight in (("", 400), ("B", 600)):
            pdf.add_font(subset, style, _FONTS / f"instrument-sans-{subset}-{weight}.ttf")
    pdf.set_fallback_fonts(["latin-ext"])
    pdf.set_title(_("Receipt: {title}").format(title=row.sale.title))
    pdf.set_creation_date(now)
    pdf.set_margin(_LEFT_MM)
    pdf.add_page()
    pdf.set_font("latin", "", 10)
    pdf.cell(0, 6, _("Receipt for a {noun}").format(noun=noun), new_x="LMARGIN", new_y="NEXT")
    pdf.set_font("latin", "B", 22)
    pdf.multi_cell(120, 10, row.sale.title, new_x="LMARGIN", new_y="NEXT")
    pdf.set_font("latin", "", 11)
    pdf.cell(0, 8, _("Sold by {name}").format(name=row.sale.seller.name), new_x="LMARGIN", new_y="NEXT")
    pdf.ln(4)
    pdf.set_font("latin", "B", 16)
    pdf.cell(
        0,
        12,
        f"{row.record.quantity} \N{MULTIPLICATION SIGN} {row.price} = {row.whole}",
        border="TB",
        new_x="LMARGIN",
        new_y="NEXT",
    )
    pdf.ln(4)
    facts = [
        (_("State"), row.words), (_("Made"), language.moment(row.at)), (_("Paid"), str(row.paid)),
        (_("Refunded"), str(row.refunded)),
        (_("Number"), str(row.record.id)), (_("Transfer"), str(row.record.transfer_id)), (_("Terms"), row.record.terms_sha256),
    ]  # fmt: skip
    for name, value in facts:
        pdf.set_font("latin", "", 9)
        pdf.cell(_LABEL_MM, 7, name)
        pdf.set_font("latin", "B", 9)
        pdf.multi_cell(0, 7, value, new_x="LMARGIN", new_y="NEXT")
    pdf.ln(6)
    pdf.image(_code(proof_url), w=34)
    pdf.set_font("latin", "", 9)
    pdf.multi_cell(
        0,
        6,
        _("The sale can be checked by anyone: {proof_url}").format(proof_url=proof_url),
        new_x="LMARGIN",
        new_y="NEXT",
    )
    pdf.cell(0, 6, _("Printed {moment}.").format(moment=language.moment(now)), new_x="LMARGIN", new_y="NEXT")
    return bytes(pdf.output())


def _code(url: str) -> io.BytesIO:
    out = io.BytesIO()
    segno.make(url, micro=False).save(out, kind="png", scale=8, border=2)
    out.seek(0)
    return out
