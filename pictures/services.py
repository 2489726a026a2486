"""Uploading pictures and placing them. The files lie in Django's default storage: on disk, or in S3 where a bucket is named."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable
from typing import Any, BinaryIO, cast
from uuid import UUID

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as N_

from core import due_work
from core.errors import Conflict, Invalid, NotFound, Refusal
from core.text import clean_line
from core.transactions import joins_transaction, retried_transaction
from pictures import making
from pictures.models import ALT_MAX, Picture, PictureState, Placed

MAKE = "pictures.make"
PER_PLACE = {Placed.Place.SALE: 8, Placed.Place.PRODUCT: 8, Placed.Place.LOGO: 1, Placed.Place.COVER: 1}
OF_A_SHOP_MAX = 2_000


class TooManyPictures(Conflict):
    code = "too_many_pictures"
    detail = N_("There are as many pictures here as there may be. Take one away first.")


def upload(
    *,
    picture_id: UUID,
    seller_id: UUID,
    place: Placed.Place,
    owner_id: UUID,
    file: Any,
    alt: str,
    now: dt.datetime,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Keep the file and have it made ready soon, shown at that place. A repeat with the same id changes nothing.

    `check` is called in the transaction that places it, and may raise. Raises Invalid for what is no picture, and TooManyPictures.
    """
    if file.size > making.BYTES_MAX:
        raise Invalid(_("A picture may have 15 MB at most."), field="picture")
    making.check(file)
    content = file.read()
    # The file first: a row whose file is not there could never be made.
    if not default_storage.exists(original_name(picture_id)):
        default_storage.save(original_name(picture_id), ContentFile(content))
    try:
        _place_new(
            picture_id=picture_id, seller_id=seller_id, place=place, owner_id=owner_id, alt=alt, now=now,
            sha256=hashlib.sha256(content).hexdigest(), check=check,
        )  # fmt: skip
    except Refusal:  # it is certain that no row has it
        default_storage.delete(original_name(picture_id))
        raise


@retried_transaction(replayable=True)
def _place_new(
    *, picture_id: UUID, seller_id: UUID, place: Placed.Place, owner_id: UUID, alt: str, sha256: str, now: dt.datetime,
    check: Callable[[], None],
) -> None:  # fmt: skip
    check()
    there = Picture.objects.filter(id=picture_id).first()
    if there is not None:
        if there.seller_id != seller_id:
            raise NotFound
        return
    if Picture.objects.filter(seller_id=seller_id).count() >= OF_A_SHOP_MAX:
        raise TooManyPictures(most=OF_A_SHOP_MAX)
    Picture(id=picture_id, seller_id=seller_id, sha256=sha256, created_at=now).save(force_insert=True)
    place_picture(picture_id=picture_id, place=place, owner_id=owner_id, alt=alt)
    due_work.schedule(MAKE, picture_id, due_at=now)


@joins_transaction
def place_picture(*, picture_id: UUID, place: Placed.Place, owner_id: UUID, alt: str = "") -> None:
    """Behind those that are there. A place for one takes the newest."""
    alt = clean_line(alt, field="alt", most=ALT_MAX, least=0)
    there = list(Placed.objects.filter(owner_id=owner_id, place=place).order_by("position"))
    if PER_PLACE[place] == 1:
        Placed.objects.filter(owner_id=owner_id, place=place).delete()
    elif len(there) >= PER_PLACE[place]:
        raise TooManyPictures(most=PER_PLACE[place])
    position = there[-1].position + 1 if there else 0
    Placed(owner_id=owner_id, place=place, picture_id=picture_id, position=position, alt=alt).save(force_insert=True)


@joins_transaction
def take_away(*, place: Placed.Place, owner_id: UUID, picture_id: UUID) -> None:
    """It is not shown there any more; where else it is shown, it stays."""
    Placed.objects.filter(owner_id=owner_id, place=place, picture_id=picture_id).delete()


@joins_transaction
def move_first(*, place: Placed.Place, owner_id: UUID, picture_id: UUID) -> None:
    """Show this one of the pictures first: on cards, and large in a sale's room."""
    there = list(Placed.objects.filter(owner_id=owner_id, place=place).order_by("position"))
    if all(placed.picture_id != picture_id for placed in there):
        raise NotFound
    for position, placed in enumerate(sorted(there, key=lambda placed: placed.picture_id != picture_id)):
        Placed.objects.filter(owner_id=owner_id, place=placed.place, picture_id=placed.picture_id).update(
            position=position
        )


@retried_transaction(replayable=True)
def copy_places(
    *, from_owner: UUID, to_owner: UUID, from_place: Placed.Place = Placed.Place.SALE,
    to_place: Placed.Place = Placed.Place.SALE,
) -> None:  # fmt: skip
    """What is made like another one shows the same pictures. A repeat changes nothing."""
    there = set(Placed.objects.filter(owner_id=to_owner, place=to_place).values_list("picture_id", flat=True))
    for placed in Placed.objects.filter(owner_id=from_owner, place=from_place).order_by("position"):
        if placed.picture_id not in there:
            placed.owner_id, placed.place = to_owner, to_place
            placed.save(force_insert=True)


def make_ready(picture_id: UUID) -> None:
    """The files that pages show, from the one that was uploaded, which is gone afterwards. Safe to run twice."""
    picture = Picture.objects.filter(id=picture_id, state=PictureState.NEW).first()
    if picture is None:
        return
    original = original_name(picture_id)
    try:
        with default_storage.open(original) as file:
            made = making.make(cast(BinaryIO, file))
    except (Invalid, FileNotFoundError) as error:
        reason = error.message if isinstance(error, Invalid) else N_("The file did not arrive as a whole.")
        _set_made(picture_id=picture_id, state=PictureState.REFUSED, reason=reason)
    else:
        for name, content in made.files.items():
            _save(file_name(picture_id, name), content)
        _set_made(
            picture_id=picture_id, state=PictureState.READY, width=made.width, height=made.height,
            widths=",".join(map(str, made.widths)),
        )  # fmt: skip
    default_storage.delete(original)


@retried_transaction(replayable=True)
def _set_made(*, picture_id: UUID, **made: Any) -> None:
    Picture.objects.filter(id=picture_id, state=PictureState.NEW).update(**made)


def _save(name: str, content: bytes) -> None:
    if default_storage.exists(name):
        default_storage.delete(name)  # a storage would rather invent another name than write over one
    default_storage.save(name, ContentFile(content))


def original_name(picture_id: UUID) -> str:
    """Not below what is served: it may say where it was taken."""
    return f"originals/{picture_id}"


def file_name(picture_id: UUID, name: str) -> str:
    return f"pictures/{picture_id}/{name}"
