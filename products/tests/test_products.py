"""The catalogue: what a shop sells again and again, and the launch of a sale from it."""

from __future__ import annotations

import datetime as dt
import io
from typing import Any
from uuid import UUID

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from PIL import Image

from accounts.models import User
from core import clock, due_work
from core.errors import NotFound
from core.ids import uuid7
from pictures.models import Placed
from products import services
from products.errors import TooManyProducts
from products.models import Offering, Product
from sales.models import Sale, SaleState, SealedTerms
from tests.tools import shop

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def owner_id() -> UUID:
    return shop.make_fan()


@pytest.fixture
def seller(owner_id: UUID) -> Any:
    return shop.make_seller(handle="northlight", owner_id=owner_id)


@pytest.fixture
def console(owner_id: UUID) -> Client:
    client = Client()
    client.force_login(User.objects.get(id=owner_id))
    return client


def make_product(seller: Any, title: str = "Storm lantern") -> Product:
    return services.add(
        product_id=uuid7(), seller_id=seller.id, title=title, story="Blown glass.", now=clock.now()
    )  # fmt: skip


def a_picture() -> SimpleUploadedFile:
    file = io.BytesIO()
    Image.new("RGB", (128, 96), "teal").save(file, "PNG")
    return SimpleUploadedFile("lantern.png", file.getvalue(), "image/png")


def test_adding_twice_adds_once_and_somebody_elses_id_is_nothing(seller: Any) -> None:
    said = {"product_id": uuid7(), "title": "Storm lantern", "story": "", "now": clock.now()}
    services.add(seller_id=seller.id, **said)
    services.add(seller_id=seller.id, **said)
    other = shop.make_seller(handle="kiln-nine", owner_id=shop.make_fan())

    with pytest.raises(NotFound):
        services.add(seller_id=other.id, **said)

    assert Product.objects.count() == 1


def test_a_catalogue_has_an_end(seller: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "OF_A_SHOP_MAX", 1)
    first = make_product(seller)

    with pytest.raises(TooManyProducts):
        make_product(seller, "Another")

    services.put_away(seller_id=seller.id, product_id=first.id, now=clock.now())
    make_product(seller, "Another")


@pytest.mark.parametrize("act", ["change", "put_away", "take_picture_away", "move_picture_first"])
def test_another_shops_product_is_nothing(seller: Any, act: str) -> None:
    product = make_product(seller)
    other = shop.make_seller(handle="kiln-nine", owner_id=shop.make_fan())
    more: dict[str, Any] = {"change": {"title": "Mine", "story": ""}, "put_away": {"now": clock.now()}}.get(
        act, {"picture_id": uuid7()}
    )

    with pytest.raises(NotFound):
        getattr(services, act)(seller_id=other.id, product_id=product.id, **more)

    product.refresh_from_db()
    assert (product.title, product.put_away_at) == ("Storm lantern", None)


def test_from_nothing_to_scheduled_in_three_steps(console: Client, seller: Any) -> None:
    first = console.get("/sell/northlight/launch/?format=drop")
    product_id = first.context["form"].initial["product_id"]

    said = {"product_id": str(product_id), "title": "Storm lantern", "story": "Blown.", "format": "drop"}
    second_url = console.post("/pictures/northlight/products/", said | {"picture": a_picture()}).url
    due_work.run_due()
    second = console.get(second_url)
    form = second.context["form"]
    closes = (clock.now() + dt.timedelta(days=1)).strftime("%Y-%m-%dT%H:%M")
    answers = {
        "sale_id": str(form.initial["sale_id"]), "product": str(product_id), "title": form.initial["title"],
        "story": form.initial["story"], "price": "24", "currency": "EUR", "units_total": "50", "hold_minutes": "0",
        "give_back_minutes": "0", "opens": "now", "closes_at": closes, "zone": "UTC",
    }  # fmt: skip
    third_url = console.post(second_url, answers).url
    third = console.get(third_url)

    assert 'aria-current="step"' in first.content.decode()
    assert (form.initial["title"], form.initial["story"]) == ("Storm lantern", "Blown.")
    sale = Sale.objects.get()
    assert (sale.title, sale.state) == ("Storm lantern", SaleState.DRAFT)
    assert Offering.objects.get().product_id == product_id
    assert [placed.owner_id for placed in Placed.objects.filter(place="sale")] == [sale.id]
    assert f"{third_url}preview/" in third.content.decode()
    console.post(f"{third_url}publish/")
    assert Sale.objects.get().state == SaleState.SCHEDULED


def test_a_preview_is_the_real_room_and_leaves_nothing_behind(console: Client, seller: Any) -> None:
    draft = shop.drop_terms(seller=seller, now=clock.now())
    from drops import services as drops

    sale = drops.draft_drop(**draft).sale
    url = f"/sell/northlight/drops/{sale.id}/preview/"

    page = console.get(url)

    text = page.content.decode()
    assert page.status_code == 200
    assert 'data-phase="upcoming"' in text or 'data-phase="open"' in text
    assert "nobody else sees this yet" in text
    sale.refresh_from_db()
    assert (sale.state, sale.terms_sha256, sale.version) == (SaleState.DRAFT, "", 0)
    assert not SealedTerms.objects.exists()
    console.post(f"/sell/northlight/drops/{sale.id}/publish/")
    assert SealedTerms.objects.get().sha256 in text  # the preview's seal was the real one
    assert console.get(url).status_code == 409


def test_what_is_wrong_with_something_new_is_said_and_what_was_typed_stays(console: Client, seller: Any) -> None:
    said = {"product_id": str(uuid7()), "title": " ", "story": "Blown.", "format": "drop"}

    page = console.post("/pictures/northlight/products/", said)

    assert page.status_code == 422
    assert "Blown." in page.content.decode()
    assert not Product.objects.exists()
