from __future__ import annotations

from typing import Any

from allauth.account import forms as allauth_forms
from allauth.account.internal.flows import signup
from allauth.account.models import EmailAddress
from django import forms
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import DatabaseError
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from core.language import zones

NAME_HELP = _(
    "How we address you. Whoever you bring to a rally by your link, or who brings you, sees its first word; "
    "no other fan and no seller does."
)
# Somebody else wrote the same first: a key that is taken, or a conflict that shows at COMMIT.
MET = ("23505", "40001")


class ProfileForm(forms.ModelForm):
    language = forms.ChoiceField(
        label=_("Language"), help_text=_("Of pages, news and mail."),
        choices=[("", _("As the browser says")), *settings.LANGUAGES], required=False,
    )  # fmt: skip
    zone = forms.ChoiceField(
        label=_("Time zone"), help_text=_("By whose clocks times are shown."),
        choices=lambda: [("", _("As the browser says")), *((zone, zone) for zone in sorted(zones()))], required=False,
    )  # fmt: skip

    class Meta:
        model = User
        fields = ["display_name", "language", "zone"]
        labels = {"display_name": _("Name")}
        help_texts = {"display_name": NAME_HELP}
        widgets = {"display_name": forms.TextInput(attrs={"autocomplete": "name"})}


class SignUpForm(allauth_forms.SignupForm):
    """allauth's, which says the same, and as late, to an address that has an account and to one that has none."""

    def try_save(self, request: HttpRequest) -> Any:
        if self.account_already_exists:
            make_password(self.cleaned_data["password1"])  # takes the time that a new account takes
        try:
            return super().try_save(request)
        except DatabaseError as error:
            if not _has_met(error):
                raise
            # Pressed twice: the other request has made the account, and written to the address.
            return None, signup.prevent_enumeration(request, email=self.cleaned_data["email"])


class AddEmailForm(allauth_forms.AddEmailForm):
    """allauth's, for somebody who presses twice."""

    def save(self, request: HttpRequest) -> EmailAddress:
        try:
            return super().save(request)
        except DatabaseError as error:
            there = EmailAddress.objects.filter(user=request.user, email=self.cleaned_data["email"]).first()
            if there is None or not _has_met(error):
                raise
            return there


def _has_met(error: BaseException | None) -> bool:
    """Whether this error, or one that it came from, says that another write was first."""
    while error is not None:
        if getattr(error, "sqlstate", None) in MET:
            return True
        error = error.__cause__
    return False
