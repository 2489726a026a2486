"""Uploading pictures, taking them away, and the files themselves where no bucket serves them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.core.files.storage import default_storage
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from core import clock, rate_limit
from core.errors import Conflict, Invalid
from core.http import user_id
from core.ids import uuid7
from pictures import services
from pictures.making import WIDTHS
from pictures.models import Placed

KINDS = {"webp": "image/webp", "avif": "image/avif"}
WIDTH_DIGITS_MAX = len(str(WIDTHS[-1]))
_YEAR = "public, max-age=31536000, immutable"


def upload_to(
    request: HttpRequest, *, seller_id: UUID, place: Placed.Place, owner_id: UUID, back: str,
    check: Callable[[], None] = lambda: None,
) -> HttpResponse:  # fmt: skip
    """Keep the posted files and go back."""
    upload_files(request, seller_id=seller_id, place=place, owner_id=owner_id, check=check)
    if not request.FILES:
        messages.error(request, _("Choose a picture first."))
    return redirect(back)


def upload_files(
    request: HttpRequest, *, seller_id: UUID, place: Placed.Place, owner_id: UUID, check: Callable[[], None] = lambda: None
) -> None:  # fmt: skip
    """Keep the posted files, in their order. What cannot be used is said and does not hold up the rest."""
    rate_limit.check("upload", str(user_id(request)), allowed=100, window_s=3_600)
    taken = 0
    for file in request.FILES.getlist("picture")[: services.PER_PLACE[place]]:
        try:
            services.upload(
                picture_id=uuid7(), seller_id=seller_id, place=place, owner_id=owner_id, file=file,
                alt=request.POST.get("alt", ""), now=clock.now(), check=check,
            )  # fmt: skip
            taken += 1
        except (Invalid, Conflict) as refusal:
            messages.error(request, f"{str(file.name)[:80]}: {refusal.said}")
    if taken:
        said = ngettext("The picture is being made ready.", "{count} pictures are being made ready.", taken)
        messages.success(request, said.format(count=taken))


@require_safe
def serve(request: HttpRequest, picture_id: UUID, name: str) -> Any:
    """A file of a picture, on a machine without a bucket. Files never change, so a browser asks once."""
    width, _, kind = name.partition(".")
    if settings.PICTURES_BUCKET or kind not in KINDS or not width.isdecimal() or len(width) > WIDTH_DIGITS_MAX:
        raise Http404
    try:
        file = default_storage.open(services.file_name(picture_id, f"{int(width)}.{kind}"))
    except FileNotFoundError:
        raise Http404 from None
    answer = FileResponse(file, content_type=KINDS[kind])
    answer["Cache-Control"] = _YEAR
    return answer
