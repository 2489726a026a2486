from __future__ import annotations

from django import forms

from sellers.models import HANDLE, Seller


class OpenShopForm(forms.Form):
    # Made when the page is rendered, so that sending the form twice opens one shop.
    seller_id = forms.UUIDField(widget=forms.HiddenInput)
    name = forms.CharField(max_length=80, widget=forms.TextInput(attrs={"autocomplete": "organization"}))
    handle = forms.CharField(
        max_length=40,
        validators=[HANDLE],
        help_text="The shop's address: small letters, digits and dashes. It cannot be changed later.",
        widget=forms.TextInput(attrs={"autocapitalize": "none", "spellcheck": "false", "autocomplete": "off"}),
    )
    about = forms.CharField(
        max_length=Seller._meta.get_field("about").max_length,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="A line or two for the storefront.",
    )
