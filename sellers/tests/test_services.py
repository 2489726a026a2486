from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from django.core import mail
from django.core.exceptions import ValidationError
from django.utils import translation

from accounts.models import User
from core.errors import Invalid, NotAllowed, NotFound
from core.ids import uuid7
from sellers import joining, selectors, services
from sellers.errors import HandleTaken, LastOwner, TooManyShops
from sellers.models import HANDLE, Member, Role, Seller
from tests.tools.race import outcomes
from tests.tools.shop import NOW, make_fan, make_seller

pytestmark = pytest.mark.django_db(transaction=True)


def open_shop(owner_id, handle="northlight", seller_id=None) -> Seller:
    return services.open_shop(seller_id=seller_id or uuid7(), owner_id=owner_id, handle=handle, name="Northlight")


def test_a_shop_has_an_owner(make_fan):
    owner = make_fan()

    shop = open_shop(owner)

    member = selectors.get_editor(owner, "northlight")
    assert (member.seller_id, member.role) == (shop.id, Role.OWNER)


@pytest.mark.parametrize(("invited", "said"), [("de", "lädt dich ein als Manager."), ("en", "invites you as manager.")])
def test_an_invitation_speaks_the_language_of_whose_address_it_is(make_fan, invited, said):
    owner, fan = make_fan(), User.objects.get(id=make_fan())
    User.objects.filter(id=fan.id).update(language=invited)
    shop = open_shop(owner)
    invitation = joining.invite(
        invitation_id=uuid7(), seller_id=shop.id, email=fan.email, role=Role.MANAGER, by=owner, now=NOW
    )  # fmt: skip

    with translation.override("de" if invited == "en" else "en"):
        assert joining.send(invitation, "https://shop.example/join/")

    assert said in mail.outbox[-1].body


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


def test_of_two_owners_who_take_each_others_role_away_one_stays(make_fan, race):
    one, two = make_fan(), make_fan()
    shop = open_shop(one)
    services.set_member(seller_id=shop.id, user_id=two, role=Role.OWNER)

    def demote(user_id):
        return services.set_member(seller_id=shop.id, user_id=user_id, role=Role.VIEWER)

    assert outcomes(race(partial(demote, one), partial(demote, two)))["last_owner"] == 1
    assert Member.objects.filter(role=Role.OWNER).count() == 1


def test_the_last_owner_stays(make_fan):
    owner = make_fan()
    shop = open_shop(owner)

    for leave in (
        lambda: services.set_member(seller_id=shop.id, user_id=owner, role=Role.VIEWER),
        lambda: services.remove_member(seller_id=shop.id, user_id=owner),
    ):
        with pytest.raises(LastOwner):
            leave()
    services.set_member(seller_id=shop.id, user_id=make_fan(), role=Role.OWNER)
    for _ in range(2):
        services.remove_member(seller_id=shop.id, user_id=owner)
    assert not Member.objects.filter(user_id=owner).exists()


@pytest.mark.parametrize(
    "handle", ["dropfront", "dr0pfront", "drop-front-official", "staff", "5taff", "api", "Support"]
)
def test_no_shop_passes_for_the_house(make_fan, handle):
    with pytest.raises(HandleTaken):
        open_shop(make_fan(), handle=handle)


def test_nobody_opens_shops_without_end(make_fan):
    owner = make_fan()
    for number in range(services.SHOPS_MAX):
        open_shop(owner, handle=f"shop-{number}")
    with pytest.raises(TooManyShops):
        open_shop(owner, handle="one-more")


def test_a_shops_name_can_be_seen(make_fan):
    with pytest.raises(Invalid):
        services.open_shop(seller_id=uuid7(), owner_id=make_fan(), handle="unseen", name="\u200b")


def test_staff_change_members_by_the_services_which_keep_an_owner(client: Any) -> None:
    client.force_login(User.objects.create_superuser("staff@example.org", "secret"))
    owner = make_fan()
    seller = make_seller(owner_id=owner)
    (member,) = Member.objects.filter(seller=seller)
    form = {
        "name": seller.name, "about": "", "fee_bps": "500", "members-TOTAL_FORMS": "1", "members-INITIAL_FORMS": "1",
        "members-0-id": str(member.id), "members-0-seller": str(seller.id), "members-0-user": str(owner),
    }  # fmt: skip

    for change in ({"members-0-role": "viewer"}, {"members-0-role": "owner", "members-0-DELETE": "on"}):
        said = client.post(f"/staff/sellers/seller/{seller.id}/change/", form | change, follow=True)
        assert "owner" in said.content.decode()
        assert Member.objects.get(id=member.id).role == Role.OWNER

    added = {
        "members-TOTAL_FORMS": "2", "members-0-role": "owner", "members-1-user": str(make_fan()), "members-1-role": "viewer",
        "members-1-seller": str(seller.id),
    }  # fmt: skip
    client.post(f"/staff/sellers/seller/{seller.id}/change/", form | added)
    assert sorted(Member.objects.filter(seller=seller).values_list("role", flat=True)) == ["owner", "viewer"]
