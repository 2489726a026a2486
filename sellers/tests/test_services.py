from __future__ import annotations

from functools import partial

import pytest
from django.core.exceptions import ValidationError

from core.errors import NotAllowed, NotFound
from core.ids import uuid7
from sellers import selectors, services
from sellers.errors import HandleTaken
from sellers.models import HANDLE, Member, Role, Seller
from tests.tools.race import outcomes

pytestmark = pytest.mark.django_db(transaction=True)


def open_shop(owner_id, handle="northlight", seller_id=None) -> Seller:
    return services.open_shop(seller_id=seller_id or uuid7(), owner_id=owner_id, handle=handle, name="Northlight")


def test_a_shop_has_an_owner(make_fan):
    owner = make_fan()

    shop = open_shop(owner)

    member = selectors.get_editor(owner, "northlight")
    assert (member.seller_id, member.role) == (shop.id, Role.OWNER)


def test_a_repeat_returns_the_shop_even_with_another_handle(make_fan):
    owner, seller_id = make_fan(), uuid7()

    first = open_shop(owner, seller_id=seller_id)

    assert open_shop(owner, seller_id=seller_id) == first
    assert open_shop(owner, handle="other", seller_id=seller_id).handle == "northlight"
    assert (Seller.objects.count(), Member.objects.count()) == (1, 1)


def test_a_handle_belongs_to_one_shop(make_fan):
    shop = open_shop(make_fan())

    with pytest.raises(HandleTaken):
        open_shop(make_fan())
    with pytest.raises(HandleTaken):
        open_shop(make_fan(), seller_id=shop.id)  # somebody else's shop is no repeat of mine
    assert Member.objects.count() == 1


def test_of_many_who_want_a_handle_one_gets_it(make_fan, race):
    owners = [make_fan() for _ in range(6)]

    results = race(*[partial(open_shop, owner) for owner in owners])

    assert outcomes(results) == {"ok": 1, "handle_taken": 5}
    assert (Seller.objects.count(), Member.objects.count()) == (1, 1)


def test_roles_say_who_may_change_sales(make_fan):
    shop, user = open_shop(make_fan()), make_fan()
    with pytest.raises(NotFound):
        selectors.get_membership(user, shop.handle)

    services.set_member(seller_id=shop.id, user_id=user, role=Role.VIEWER)
    assert selectors.get_membership(user, shop.handle).role == Role.VIEWER
    with pytest.raises(NotAllowed):
        selectors.get_editor(user, shop.handle)

    services.set_member(seller_id=shop.id, user_id=user, role=Role.MANAGER)
    assert selectors.get_editor(user, shop.handle).role == Role.MANAGER
    assert Member.objects.filter(user_id=user).count() == 1


def test_setting_a_role_from_two_places_at_once_leaves_one(make_fan, race):
    shop, user = open_shop(make_fan()), make_fan()
    set_role = partial(services.set_member, seller_id=shop.id, user_id=user)

    results = race(*[partial(set_role, role=role) for role in (Role.VIEWER, Role.MANAGER) * 3])

    assert outcomes(results) == {"ok": 6}
    assert Member.objects.filter(user_id=user).count() == 1


def test_a_shop_that_was_switched_off_is_missing(make_fan):
    shop = open_shop(make_fan())
    Seller.objects.filter(id=shop.id).update(is_active=False)

    with pytest.raises(NotFound):
        selectors.get_seller(shop.handle)


@pytest.mark.parametrize("handle", ["abc", "a-b", "0x9", "a" * 40])
def test_handles_that_are_fine(handle):
    HANDLE(handle)


@pytest.mark.parametrize(
    "handle", ["", "a", "ab", "-ab", "ab-", "A-b", "a b", "\uff41\uff42\uff43", "a_b", "a/b", "abc\n", "a" * 41]
)
def test_handles_that_are_not(handle):
    with pytest.raises(ValidationError):
        HANDLE(handle)
