from __future__ import annotations

from django import forms
from django.utils.text import slugify
from django.utils.translation import gettext_lazy as _

from sellers.models import HANDLE, NAME_MAX, KeyScope, Role, Seller
from sellers.theme import CHROMA_MAX


class OpenShopForm(forms.Form):
    # Made when the page is rendered, so that sending the form twice opens one shop.
    seller_id = forms.UUIDField(widget=forms.HiddenInput)
    name = forms.CharField(
        label=_("Name"), max_length=80, widget=forms.TextInput(attrs={"autocomplete": "organization"})
    )
    handle = forms.CharField(
        label=_("Handle"),
        max_length=80,
        help_text=_("The shop's address: small letters, digits and dashes. It cannot be changed later."),
        widget=forms.TextInput(attrs={"autocapitalize": "none", "spellcheck": "false", "autocomplete": "off"}),
    )
    about = forms.CharField(
        label=_("About"),
        max_length=Seller._meta.get_field("about").max_length,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("A line or two for the storefront."),
    )

    def clean_handle(self) -> str:
        """What is typed, as it stands in an address: `Émile Café` is `emile-cafe`."""
        handle = slugify(self.cleaned_data["handle"])[:40].strip("-")
        HANDLE(handle)
        return handle


class BrandForm(forms.Form):
    """What a shop shows of itself."""

    name = forms.CharField(
        label=_("Name"), max_length=NAME_MAX, widget=forms.TextInput(attrs={"autocomplete": "organization"})
    )
    about = forms.CharField(label=_("About"),
        max_length=Seller._meta.get_field("about").max_length, required=False, widget=forms.Textarea(attrs={"rows": 4}),
        help_text=_("For the storefront."),
    )  # fmt: skip
    hue = forms.IntegerField(
        min_value=0, max_value=359, widget=forms.NumberInput(attrs={"type": "range", "min": 0, "max": 359}),
        label=_("Colour"), help_text=_("Its lightness is chosen so that text on it stays readable."),
    )  # fmt: skip
    chroma = forms.IntegerField(
        min_value=0, max_value=CHROMA_MAX, label=_("How strong"),
        widget=forms.NumberInput(attrs={"type": "range", "min": 0, "max": CHROMA_MAX}),
    )  # fmt: skip


class InviteForm(forms.Form):
    # Made when the page is rendered, so that sending the form twice invites once.
    invitation_id = forms.UUIDField(widget=forms.HiddenInput)
    email = forms.EmailField(label=_("E-mail address"))
    role = forms.ChoiceField(label=_("Role"),
        choices=Role.choices, initial=Role.VIEWER,
        help_text=_("An owner may do everything, a manager everything but members; a viewer looks."),
    )  # fmt: skip


class ApiKeyForm(forms.Form):
    # Made when the page is rendered, so that sending the form twice makes one.
    key_id = forms.UUIDField(widget=forms.HiddenInput)
    name = forms.CharField(label=_("Name"), max_length=NAME_MAX, help_text=_("What it is for: you see it in the log."))
    scope = forms.ChoiceField(
        label=_("It may"), choices=KeyScope.choices, initial=KeyScope.READ, widget=forms.RadioSelect
    )
    days = forms.ChoiceField(
        label=_("Runs out"), required=False, initial="90",
        choices=[("30", _("After 30 days")), ("90", _("After 90 days")), ("365", _("After a year")), ("", _("Never"))],
    )  # fmt: skip
