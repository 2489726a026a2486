"""The words of scripts in the reader's language. English is what they are written in, and needs nothing."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.utils import translation
from django.views.i18n import JavaScriptCatalog

from core import words


class WordsScript(JavaScriptCatalog):
    """Django's catalogue for scripts, and the sentences of refusals. The address says the language, so that caches may keep it."""

    def get(self, request: HttpRequest, language: str, *args: Any, **kwargs: Any) -> HttpResponse:
        if language not in words.LANGUAGES:
            raise Http404
        with translation.override(language):
            answer = super().get(request, *args, **kwargs)
        answer["Cache-Control"] = "public, max-age=3600"
        return answer

    def get_catalog(self) -> dict[str, Any]:
        return super().get_catalog() | {said: translation.gettext(said) for said in words.refusals()}
