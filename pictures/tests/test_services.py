"""Uploading, making ready and placing, on disk and in a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import boto3
import pytest
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from moto import mock_aws

from accounts.models import User
from core import due_work
from core.errors import Invalid, NotFound
from core.ids import uuid7
from core.models import DueWork
from drops import services as drops
from pictures import selectors, services
from pictures.models import Picture, PictureState, Placed
from sales import sale_pictures
from sales import services as sales
from sales.errors import NotEditable
from tests.tools import shop
from tests.tools.shop import NOW, make_fan, make_picture, make_seller, picture_file

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=["disk", "bucket"])
def storage(request: pytest.FixtureRequest, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Both places where pictures may lie. The bucket is S3's own protocol, answered on this machine."""
    if request.param == "disk":
        yield "disk"
        return
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "for-tests")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        boto3.client("s3").create_bucket(Bucket="pictures")
        options = {"bucket_name": "pictures", "querystring_auth": False}
        settings.STORAGES = settings.STORAGES | {
            "default": {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": options}
        }
        yield "bucket"


@pytest.fixture
def draft() -> Any:
    return drops.draft_drop(**shop.drop_terms(seller=make_seller(), now=NOW))


def client_of(user_id: UUID) -> Client:
    client = Client()
    client.force_login(User.objects.get(id=user_id))
    return client


def test_an_upload_becomes_files_that_pages_show(storage: str, draft: Any) -> None:
    picture = make_picture(draft)
    assert selectors.pictures_of([draft.sale_id]) == {draft.sale_id: []}  # not before it is ready
    assert default_storage.exists(services.original_name(picture.id))
    assert DueWork.objects.filter(kind=services.MAKE, subject_id=picture.id).exists()
    due_work.run_due()
    (shown,) = selectors.pictures_of([draft.sale_id])[draft.sale_id]
    assert (shown.width, shown.widths, shown.alt) == (400, (320, 400), "What it shows")
    assert default_storage.exists(services.file_name(picture.id, "320.avif"))
    assert not default_storage.exists(services.original_name(picture.id))  # it may say where it was taken
    assert str(picture.id) in shown.largest
    services.make_ready(picture.id)  # once more changes nothing
    assert Picture.objects.get(id=picture.id).state == PictureState.READY


def test_a_file_that_broke_on_its_way_is_said_so(storage: str, draft: Any) -> None:
    whole = picture_file(600, 600, format="JPEG").read()
    file = SimpleUploadedFile("half.jpg", whole[: len(whole) // 2])
    services.upload(
        picture_id=uuid7(), seller_id=draft.sale.seller_id, place=Placed.Place.SALE, owner_id=draft.sale_id, file=file, alt="",
        now=NOW,
    )  # fmt: skip
    due_work.run_due()
    (shown,) = selectors.all_of(draft.sale_id)
    assert not shown.is_ready
    assert shown.reason == "This picture is broken."


def test_a_kill_between_the_files_and_the_row_is_made_good(draft: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = make_picture(draft)
    monkeypatch.setattr(services, "_set_made", lambda **made: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        services.make_ready(picture.id)
    monkeypatch.undo()
    services.make_ready(picture.id)
    assert selectors.pictures_of([draft.sale_id])[draft.sale_id]


def test_too_large_a_file_is_refused(draft: Any) -> None:
    file = picture_file()
    file.size = 15_000_001
    with pytest.raises(Invalid, match="15 MB"):
        services.upload(
            picture_id=uuid7(), seller_id=draft.sale.seller_id, place=Placed.Place.SALE, owner_id=draft.sale_id, file=file,
            alt="", now=NOW,
        )  # fmt: skip


def test_a_sale_has_so_many_and_a_logo_is_one(draft: Any) -> None:
    for _ in range(services.PER_PLACE[Placed.Place.SALE]):
        make_picture(draft)
    with pytest.raises(services.TooManyPictures):
        make_picture(draft)
    kept = default_storage.listdir("originals")[1]
    assert len(kept) == services.PER_PLACE[Placed.Place.SALE]  # what was refused is not kept
    for _ in range(2):
        newest = make_picture(draft, place=Placed.Place.LOGO, owner_id=draft.sale.seller_id)
    assert [shown.id for shown in selectors.all_of(draft.sale.seller_id, Placed.Place.LOGO)] == [newest.id]


def test_their_order_is_the_sellers(draft: Any) -> None:
    first, second, third = (make_picture(draft).id for _ in range(3))
    seller_id, sale_id = draft.sale.seller_id, draft.sale_id
    sale_pictures.move_first(seller_id=seller_id, sale_id=sale_id, picture_id=third)
    assert [shown.id for shown in selectors.all_of(draft.sale_id)] == [third, first, second]
    sale_pictures.take_away(seller_id=seller_id, sale_id=sale_id, picture_id=first)
    assert [shown.id for shown in selectors.all_of(draft.sale_id)] == [third, second]
    with pytest.raises(NotFound):
        sale_pictures.move_first(seller_id=seller_id, sale_id=sale_id, picture_id=first)
    with pytest.raises(NotFound):  # another shop's
        sale_pictures.take_away(seller_id=make_seller().id, sale_id=sale_id, picture_id=second)


def test_a_picture_of_another_shop_is_not_taken_over(draft: Any) -> None:
    picture = make_picture(draft)
    with pytest.raises(NotFound):
        services.upload(
            picture_id=picture.id, seller_id=make_seller().id, place=Placed.Place.SALE, owner_id=uuid7(), file=picture_file(),
            alt="", now=NOW,
        )  # fmt: skip


def test_what_is_published_keeps_its_pictures() -> None:
    owner = make_fan()
    draft = drops.draft_drop(**shop.drop_terms(seller=make_seller(handle="northlight", owner_id=owner)))
    client = client_of(owner)
    there = f"/pictures/northlight/{draft.sale_id}/"
    assert client.post(there, {"picture": [picture_file(), picture_file(500)], "alt": "Two"}).status_code == 302
    first, second = selectors.all_of(draft.sale_id)
    sales.publish_sale(seller_id=draft.sale.seller_id, sale_id=draft.sale_id, now=draft.sale.created_at)
    for path in (there, f"{there}{second.id}/first/", f"{there}{first.id}/away/"):
        assert client.post(path, {"picture": picture_file()}).status_code == NotEditable.status
    assert [shown.id for shown in selectors.all_of(draft.sale_id)] == [first.id, second.id]


def test_a_sale_that_is_published_meanwhile_keeps_its_pictures(draft: Any, race: Any) -> None:
    """Whoever comes second is told so: there is no third way in which both succeed and the shown picture is gone."""
    picture = make_picture(draft)
    seller_id, sale_id = draft.sale.seller_id, draft.sale_id

    def take_away() -> str:
        try:
            sale_pictures.take_away(seller_id=seller_id, sale_id=sale_id, picture_id=picture.id)
        except NotEditable:
            return "published first"
        return "taken away first"

    outcomes = race(take_away, lambda: sales.publish_sale(seller_id=seller_id, sale_id=sale_id, now=NOW))
    assert outcomes[0] in ("published first", "taken away first")
    assert bool(selectors.all_of(sale_id)) == (outcomes[0] == "published first")


def test_a_sale_made_like_another_shows_the_same(draft: Any) -> None:
    make_picture(draft)
    other = drops.draft_drop(**shop.drop_terms(seller=draft.sale.seller, now=NOW))
    for _ in range(2):
        services.copy_places(from_owner=draft.sale_id, to_owner=other.sale_id)
    assert [shown.id for shown in selectors.all_of(other.sale_id)] == [
        shown.id for shown in selectors.all_of(draft.sale_id)
    ]


def test_the_file_itself_never_changes_and_is_kept_by_browsers(draft: Any) -> None:
    picture = make_picture(draft)
    services.make_ready(picture.id)
    answer = Client().get(f"/media/pictures/{picture.id}/320.webp")
    assert (answer.status_code, answer["Content-Type"]) == (200, "image/webp")
    assert "immutable" in answer["Cache-Control"]
    for name in ("9" * 5_000 + ".webp", "9999999.webp", "320.svg", "..%2f..%2fetc", "640.webp"):
        assert Client().get(f"/media/pictures/{picture.id}/{name}").status_code == 404
