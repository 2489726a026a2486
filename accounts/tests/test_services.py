from __future__ import annotations

from functools import partial

import pytest
from allauth.account.models import EmailAddress

from accounts import selectors, services
from accounts.models import User

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_registered_user_is_verified_and_can_log_in(client):
    user_id = services.register_verified(email="Fan@Example.ORG ", password="a long password", display_name="Fan")

    user = User.objects.get()
    assert (user.id, user.email, user.get_full_name(), user.is_staff) == (user_id, "fan@example.org", "Fan", False)
    assert selectors.is_verified(user_id)
    assert client.login(email="fan@example.org", password="a long password")


def test_one_address_is_one_account_however_it_is_typed():
    first = services.register_verified(email="fan@example.org", password=None)

    assert services.register_verified(email=" FAN@example.org", password=None) == first
    assert (User.objects.count(), EmailAddress.objects.count()) == (1, 1)


def test_registering_from_many_places_at_once_makes_one_account(race):
    results = race(*[partial(services.register_verified, email="fan@example.org", password=None)] * 6)

    assert len(set(results)) == 1
    assert (User.objects.count(), EmailAddress.objects.count()) == (1, 1)


def test_staff_are_made_on_purpose():
    services.register_verified(email="staff@example.org", password=None, is_staff=True)

    assert User.objects.get().is_staff
    assert not User(email="fan@example.org").is_staff


def test_who_has_not_confirmed_an_address_is_not_verified():
    user = User.objects.create_user("fan@example.org")
    EmailAddress.objects.create(user=user, email=user.email, verified=False, primary=True)

    assert not selectors.is_verified(user.id)
    assert not user.has_usable_password()
