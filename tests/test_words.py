"""Every word that people read is marked, and has its German."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.template.base import Lexer, TokenType
from django.utils import translation

from core import words
from ledger.invariants import NEWS_CHECKS, WHOLE_CHECKS
from sales.formats import list_formats

ROOT = Path(settings.BASE_DIR)
NAMES = {
    "Dropfront",
    "SQL",
    "Deutsch",
    "English",
    "PostgreSQL",
    "Aurora",
    "DSQL",
    "Amazon",
    "Merkle",
    "SHA",
    "UUIDv7",
    "Markdown",
}
# Pages for developers, and SVG's and CSS's own words.
LEFT_OUT = {"templates/dev", "dropfront/demo_pictures"}
CLASSES = {"main_class", "width", "form_data"}  # blocks whose text is no text
_PLACE = re.compile(r"%\(\w+\)s|%[sd]|\{\w*(?:[.!:][^}]*)?\}")
_TAG = re.compile(r"<[^>]*>|&\w+;|&#\w+;", re.DOTALL)
_ATTRIBUTE = re.compile(r'\b(?:aria-label|aria-description|alt|title|placeholder|data-words|data-name)="([^"]*)"')
_ARGUMENT = re.compile(r'\b(?:label|title|text|words|caption|heading|empty|lead|hint|verb|name)="([^"]*)"')
_WORD = re.compile(r"[^\W\d_]{2,}")
_CODE = re.compile(r"<(script|style|code|pre|svg)\b.*?</\1>", re.DOTALL)

BOOKS = [pytest.param(book, id=f"{book.home.name}-{book.domain}") for book in words.books()]


@pytest.mark.parametrize("book", BOOKS)
def test_what_is_marked_has_its_german(book: words.Book) -> None:
    kept = book.kept("de")
    missing = [message.id for message in book.marked() if message.id and not _is_whole(kept, message)]

    assert not missing, "`bin/manage words` writes them into the catalogue, for somebody to translate"


def _is_whole(kept, message) -> bool:  # type: ignore[no-untyped-def]
    found = kept.get(message.id, message.context)
    if found is None or not found.string or "fuzzy" in found.flags:
        return False
    said = found.string if isinstance(found.string, tuple) else (found.string,)
    return all(said)


@pytest.mark.parametrize("book", BOOKS)
def test_a_translation_fills_in_the_same_facts(book: words.Book) -> None:
    for message in book.kept("de"):
        ids = message.id if isinstance(message.id, tuple) else (message.id,)
        said = message.string if isinstance(message.string, tuple) else (message.string,)
        wanted = set(_PLACE.findall(ids[-1]))
        for text in said if message.id else ():
            # One of something may be said in a word.
            assert set(_PLACE.findall(text)) <= wanted | set(_PLACE.findall(ids[0])), message.id
        if message.id:
            assert set(_PLACE.findall(said[-1])) == wanted, message.id


@pytest.mark.parametrize("book", BOOKS)
def test_the_compiled_catalogue_is_of_the_written_one(book: words.Book) -> None:
    mo = book.file("de", "mo")

    if mo.exists() or len(book.marked()):
        assert mo.read_bytes() == words.compiled(book.kept("de")), "`bin/manage words` compiles them"


def test_every_refusal_is_said_in_german() -> None:
    with translation.override("de"):
        same = [said for said in words.refusals() if said and translation.gettext(said) == said]

    assert same == []


TEMPLATES = [
    file.relative_to(ROOT)
    for home in [ROOT / "templates", *ROOT.glob("*/templates")]
    for file in sorted(home.rglob("*.html"))
    if not any(str(file.relative_to(ROOT)).startswith(part) for part in LEFT_OUT)
]


@pytest.mark.parametrize("template", TEMPLATES, ids=str)
def test_a_templates_words_are_marked(template: Path) -> None:
    assert list(_unmarked((ROOT / template).read_text())) == []


def _unmarked(source: str) -> Iterator[str]:
    """Text and attributes that people read, outside of what is marked. Tags of the template stand as a hole in the text."""
    rest, is_marked, is_comment, is_class = [], False, False, False
    for token in Lexer(source).tokenize():
        name = token.contents.split()[0] if token.token_type == TokenType.BLOCK and token.contents else ""
        if name in ("blocktranslate", "endblocktranslate"):
            is_marked = name == "blocktranslate"
        elif name in ("comment", "endcomment"):
            is_comment = name == "comment"
        elif name in ("block", "endblock"):
            is_class = name == "block" and token.contents.split()[1] in CLASSES
        elif token.token_type == TokenType.TEXT and not (is_marked or is_comment or is_class):
            rest.append(token.contents)
        elif token.token_type == TokenType.BLOCK and name in ("include", "element", "with", "notice", "slot"):
            yield from (text for text in _ARGUMENT.findall(token.contents) if _reads(text) and " " in text.strip())
    text = _CODE.sub(" ", "\0".join(rest))
    yield from (said for said in _ATTRIBUTE.findall(text) if _reads(said))
    yield from (said.strip() for said in re.split(r"\0|\n", _TAG.sub("\0", text)) if _reads(said))


def _reads(text: str) -> bool:
    return any(word not in NAMES for word in _WORD.findall(text))


SOURCES = [
    file.relative_to(ROOT)
    for app in sorted(ROOT.glob("*/apps.py"))
    for file in sorted(app.parent.rglob("*.py"))
    if not {"tests", "migrations", "management", "demo_pictures"} & set(file.parts)
    and app.parent.name not in ("dsql", "live")
]
# What only programs and those who write them read: the API's own descriptions, and the hot path, whose refusals pages translate.
FOR_PROGRAMS = {
    "core/lean.py", "core/schemas.py", "dropfront/api.py", "dropfront/server.py", "drops/hot.py", "rallies/hot.py",
    "sales/lifecycle_api.py", "sales/placing.py",
}  # fmt: skip
SOURCES = [source for source in SOURCES if str(source) not in FOR_PROGRAMS]
# What a function of these names is given is read by people.
_SAYS = {"success", "info", "warning", "error", "ValidationError", "Message", "Invalid"}
_SAYING = {"label", "help_text", "verbose_name", "verbose_name_plural", "empty_label", "short_description", "description", "said",
           "labels", "help_texts", "error_messages", "choices"}  # fmt: skip


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_a_modules_words_are_marked(source: Path) -> None:
    found = [f"{line}: {text}" for line, text in _spoken(ast.parse((ROOT / source).read_text()))]

    assert found == []


def _spoken(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Plain strings where people's words stand: of refusals, messages, labels and help."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node.func) in _SAYS and _is_for_people(node.func):
            for argument in node.args:
                yield from _plain(argument)
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                if keyword.arg in _SAYING:
                    yield from _plain(keyword.value)
        if isinstance(node, ast.ClassDef):
            for line in node.body:
                if isinstance(line, ast.Assign | ast.AnnAssign) and line.value is not None:
                    targets = line.targets if isinstance(line, ast.Assign) else [line.target]
                    if any(isinstance(target, ast.Name) and target.id in {"detail", *_SAYING} for target in targets):
                        yield from _plain(line.value)


@pytest.mark.parametrize("source", [source for source in SOURCES if source.name == "forms.py"], ids=str)
def test_a_forms_field_says_its_name(source: Path) -> None:
    """Else Django makes one of the variable's, in English."""
    nameless = [
        line.targets[0].id
        for form in ast.walk(ast.parse((ROOT / source).read_text()))
        if isinstance(form, ast.ClassDef)
        for line in form.body
        if isinstance(line, ast.Assign)
        and isinstance(line.value, ast.Call)
        and _name(line.value.func).endswith("Field")
        if not {"label", "widget"} & {keyword.arg for keyword in line.value.keywords}
    ]

    assert set(nameless) <= {"key", "q", "format", "most", "within", "hold", "only_at_or_below"}, (
        "never shown by their labels"
    )


def _is_for_people(function: ast.expr) -> bool:
    """`messages.error(…)`, but not `log.error(…)`."""
    return not isinstance(function, ast.Attribute) or _name(function.value) in (
        "messages",
        "forms",
        "exceptions",
        "errors",
    )


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _plain(node: ast.expr) -> Iterator[tuple[int, str]]:
    match node:
        case ast.Constant(value=str(text)) if " " in text.strip() and _reads(text):
            yield node.lineno, text
        case ast.JoinedStr():
            text = "".join(part.value for part in node.values if isinstance(part, ast.Constant))
            if " " in text.strip() and _reads(text):
                yield node.lineno, text
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            for part in parts:
                yield from _plain(part)
        case ast.Dict(values=values):
            for value in values:
                yield from _plain(value)
        case ast.IfExp(body=body, orelse=orelse):
            yield from _plain(body)
            yield from _plain(orelse)


SCRIPTS = [
    file.relative_to(ROOT)
    for home in [ROOT / "static", *ROOT.glob("*/static")]
    for file in sorted(home.rglob("*.js"))
    if "vendor" not in file.parts
]
_LITERAL = re.compile(r"""(\bt\(|\btn\(|,\s*)?("(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`)""")


@pytest.mark.parametrize("script", SCRIPTS, ids=str)
def test_a_scripts_words_are_marked(script: Path) -> None:
    """A literal that begins like a sentence is one."""
    source = re.sub(r"^\s*(//|\*|/\*).*$|new Error\(.*?\);", "", (ROOT / script).read_text(), flags=re.MULTILINE)
    marked = set(re.findall(r"""\bt\(\s*"([^"]*)\"""", source))
    marked |= {said for pair in re.findall(r"""\btn\(\s*"([^"]*)",\s*"([^"]*)\"""", source) for said in pair}
    said = [text[1:-1] for _mark, text in _LITERAL.findall(source)]

    assert [text for text in said if re.match(r"[A-Z{][^A-Z]*[a-z]+[ …!.]", text) and text not in marked] == []


def test_every_check_says_in_german_what_must_be_true() -> None:
    checks = [*WHOLE_CHECKS, *NEWS_CHECKS, *(check for format in list_formats() for check in format.checks)]
    with translation.override("de"):
        same = {check.sentence for check in checks if translation.gettext(check.sentence) == check.sentence}

    assert same == set()
