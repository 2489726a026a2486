from __future__ import annotations

from django import forms

from accounts.models import User


class DisplayNameForm(forms.ModelForm):
    class Meta:
        model = User
        fields = ["display_name"]
        labels = {"display_name": "Name"}
        help_texts = {"display_name": "How we address you. Other fans and sellers never see it."}
        widgets = {"display_name": forms.TextInput(attrs={"autocomplete": "name"})}
