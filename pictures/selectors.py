"""Pictures as pages show them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from django.core.files.storage import default_storage

from pictures.models import Picture, PictureState, Placed
from pictures.services import file_name


@dataclass(frozen=True, slots=True)
class Shown:
    """One picture at its place, with its files. `width` and `height` are of the largest, in pixels."""

    id: UUID
    alt: str
    width: int
    height: int
    widths: tuple[int, ...]
    state: str
    reason: str

    @classmethod
    def of(cls, placed: Placed) -> Shown:
        picture: Picture = placed.picture
        widths = tuple(int(width) for width in picture.widths.split(",") if width)
        return cls(picture.id, placed.alt, picture.width, picture.height, widths, picture.state, picture.reason)

    @property
    def is_ready(self) -> bool:
        return self.state == PictureState.READY

    @property
    def largest(self) -> str:
        return self._url(self.widths[-1], "webp")

    @property
    def smallest(self) -> str:
        return self._url(self.widths[0], "webp")

    @property
    def webp(self) -> str:
        return self._set("webp")

    @property
    def avif(self) -> str:
        return self._set("avif")

    def _set(self, kind: str) -> str:
        """For the browser to choose from."""
        return ", ".join(f"{self._url(width, kind)} {width}w" for width in self.widths)

    def _url(self, width: int, kind: str) -> str:
        return default_storage.url(file_name(self.id, f"{width}.{kind}"))


def pictures_of(owner_ids: Collection[UUID], place: Placed.Place = Placed.Place.SALE) -> dict[UUID, list[Shown]]:
    """Of each owner those that are ready, in their order."""
    found: dict[UUID, list[Shown]] = {owner_id: [] for owner_id in owner_ids}
    for shown_of, shown in _placed(owner_ids, place):
        if shown.is_ready:
            found[shown_of].append(shown)
    return found


def all_of(owner_id: UUID, place: Placed.Place = Placed.Place.SALE) -> list[Shown]:
    """Also those that are not ready, for who uploaded them."""
    return [shown for _, shown in _placed([owner_id], place)]


def _placed(owner_ids: Collection[UUID], place: Placed.Place) -> list[tuple[UUID, Shown]]:
    rows = Placed.objects.filter(owner_id__in=owner_ids, place=place).select_related("picture").order_by("position")
    return [(placed.owner_id, Shown.of(placed)) for placed in rows]
