"""Every word that people read is marked, and has its German."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from django.conf import settings
from django.template.base import Lexer, TokenType
from django.utils import translation
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy

from core import words
from core.admin_reasons import asks_reason
from core.errors import NotFound
from core.language import number_lazy
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
_CODE = re.compile(r"<(script|style|code|pre)\b.*?</\1>", re.DOTALL)

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


@cache
def _tree(source: Path | str) -> ast.Module:
    return ast.parse((ROOT / source).read_text())


# What a function of these names is given is read by people.
_SAYS = {"success", "info", "warning", "error", "ValidationError", "Message", "Invalid"}
_SAYING = {"label", "help_text", "verbose_name", "verbose_name_plural", "empty_label", "short_description", "description", "said",
           "labels", "help_texts", "error_messages", "choices"}  # fmt: skip


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_a_modules_words_are_marked(source: Path) -> None:
    found = [f"{line}: {text}" for line, text in _spoken(_tree(source))]

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
        for form in ast.walk(_tree(source))
        if isinstance(form, ast.ClassDef)
        for line in form.body
        if isinstance(line, ast.Assign)
        and isinstance(line.value, ast.Call)
        and _name(line.value.func).endswith("Field")
        if not {"label", "widget"} & {keyword.arg for keyword in line.value.keywords}
    ]

    assert set(nameless) <= {
        "key",
        "q",
        "format",
        "most",
        "within",
        "hold",
        "only_at_or_below",
        "max",
        "buy_now",
        "next_minor",
        "sure",
    }, "never shown by their labels"


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


# What begins like a sentence and is none for readers of pages: programs, operators and developers read it, or it is a name.
NOT_FOR_READERS = {
    "accounts/models.py": {"User"},  # a class
    "auctions/english/demo.py": None,  # what the demo's own shops say
    "auctions/dutch/hot.py": {  # the API describes itself
        "Claim units at the price of the moment",
        "The most that a unit may cost, in minor units. A lower price is charged as it is.",
    },
    "auctions/english/hot.py": {  # the API describes itself
        "Bid on a lot, raise your maximum, or buy it now",
        "Instead of a maximum: have the lot at once for its price to buy it now.",
        "The most that the lot may cost you, in minor units: as little of it as the next best bid makes needed is taken.",
    },
    "core/edge.py": None,  # before there is a request, and so a language
    "core/http.py": {"Allow", "This needs the CSRF token of your session, in the header X-CSRFToken."},  # the API's
    "core/language.py": {"Lax"},
    "core/metrics.py": None,  # Prometheus shows them
    "core/money.py": {"{} is not a currency we know."},  # a programmer's mistake: forms offer a choice
    "core/tables.py": {"{} = given.new_{}"},  # SQL
    "dropfront/appearance.py": {"Lax"},
    "dropfront/demo.py": None,  # what the demo's own shops say, and their names
    "dropfront/lean_routes.py": None,  # the API describes itself
    "dropfront/operations.py": {"Bearer"},
    "dropfront/profiling.py": None,
    "dropfront/public.py": None,  # robots.txt and security.txt
    "dropfront/safety.py": None,  # operators read it when a site does not start
    "dropfront/settings.py": None,  # names, headers and colours; what people read there is marked lazily
    "dropfront/specimens.py": None,  # the page of parts, for developers
    "drops/demo.py": None,
    "payments/templatetags/top_up.py": {'{} data-top-up-url="{}" data-top-up-min="{}" data-top-up-max="{}"'},
    "rallies/demo.py": None,
    "rallies/settlement.py": {"{} from {} {}"},  # the sealed terms: hashed
    "sales/opening.py": None,  # a management command's
    "sales/plain.py": {"{} one of the {}", "{}, not_open, frozen or called_off"},  # the API describes itself
    "sales/presenters.py": {"Amazon Aurora DSQL", "PostgreSQL {}.{}"},  # names
    "sales/pseudonyms.py": {"Fan {}"},  # the same on every proof, in every language
    "sales/things_api.py": None,  # the API describes itself
}  # fmt: skip
_SENTENCE = re.compile(r"[A-Z{][^\n]* [^\n]*[a-z]{2}|[A-Z][a-z]{2,}[.!?]?$")
_SQL = re.compile(r"\b(SELECT|INSERT|UPDATE|DELETE|FROM|WHERE|NULL|CASE)\b")
# What these are given stays with us: logs, assertions, and what stops a program.
_KEPT = {
    "debug",
    "info",
    "warning",
    "exception",
    "AssertionError",
    "RuntimeError",
    "TypeError",
    "ImproperlyConfigured",
    "compile",
}


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_what_begins_like_a_sentence_is_marked(source: Path) -> None:
    """Whatever is returned, kept or passed on: a presenter's words, a notification's, a receipt's."""
    allowed = NOT_FOR_READERS.get(str(source), set())
    if allowed is None:
        return
    found = {text for text in _sentences(_tree(source)) if _SENTENCE.match(text)}

    assert {text for text in found - allowed if not _SQL.search(text)} == set()


def test_the_list_of_what_is_not_for_readers_has_nothing_old() -> None:
    for source, allowed in NOT_FOR_READERS.items():
        found = set(_sentences(_tree(source)))
        assert found if allowed is None else allowed <= found, source


def _sentences(node: ast.AST) -> Iterator[str]:
    """Every string but for docstrings and what is marked or kept; a fact in it is a `{}`."""
    match node:
        case ast.Expr(value=ast.Constant()) | ast.Assert():
            return
        case ast.FunctionDef(name="__str__" | "__repr__"):
            return  # of rows: staff's admin and developers read them
        case ast.Call(func=function) if _name(function) in words.KEYWORDS or (
            _name(function) in _KEPT and not _tells(function)
        ):
            return
        case ast.Constant(value=str(text)):
            yield text.strip()
        case ast.JoinedStr(values=parts):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in parts).strip()
            for part in parts:
                if isinstance(part, ast.FormattedValue):
                    yield from _sentences(part)
        case _:
            for child in ast.iter_child_nodes(node):
                yield from _sentences(child)


def _tells(function: ast.expr) -> bool:
    """`messages.warning(…)`."""
    return isinstance(function, ast.Attribute) and _name(function.value) == "messages"


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_no_word_is_translated_while_a_module_is_read(source: Path) -> None:
    """It would stay in the language of that moment, for everybody: there the lazy ones belong."""
    tree = _tree(source)
    eager = {
        name.asname or name.name
        for line in ast.walk(tree)
        if isinstance(line, ast.ImportFrom) and line.module == "django.utils.translation"
        for name in line.names
        if name.name in ("gettext", "ngettext", "pgettext", "npgettext")
    }

    assert [call.lineno for call in _calls_at_import(tree) if _name(call.func) in eager] == []


def _calls_at_import(node: ast.AST) -> Iterator[ast.Call]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            for outside in [*child.decorator_list, *child.args.defaults, *filter(None, child.args.kw_defaults)]:
                yield from _calls_at_import(ast.Expr(outside))
        elif not isinstance(child, ast.Lambda):
            if isinstance(child, ast.Call):
                yield child
            yield from _calls_at_import(child)


# They run for many at once, or keep what they say for whoever reads it later: in English, which pages translate.
FOR_MANY = [
    "core/due_work.py", "core/invariants.py", "core/lanes.py", "core/transactions.py", "drops/invariants.py", "drops/rules.py",
    "ledger/invariants.py", "payments/invariants.py", "pictures/making.py", "rallies/invariants.py", "rallies/rules.py",
    "sales/frames.py", "sales/gates.py", "sales/invariants.py", "sales/lanes.py", "sales/plain.py", "sales/prover.py",
]  # fmt: skip


@pytest.mark.parametrize("source", FOR_MANY)
def test_what_is_said_to_many_is_said_in_english(source: str) -> None:
    imported = [
        name.name
        for line in ast.walk(_tree(source))
        if isinstance(line, ast.ImportFrom) and line.module == "django.utils.translation"
        for name in line.names
    ]

    assert set(imported) <= {"gettext_noop"}


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_a_page_shows_a_refusal_by_what_it_says_to_its_reader(source: Path) -> None:
    """`refusal.said`; `message` is English where a class or a lane says it."""
    kept = {"core/errors.py", "core/mailbox.py", "pictures/services.py"}
    shown = [
        node.lineno for node in ast.walk(_tree(source)) if isinstance(node, ast.Attribute) and node.attr == "message"
    ]

    assert str(source) in kept or shown == []


def test_what_fans_make_is_called_in_german_and_found_by_one_name() -> None:
    kinds = [things for format in list_formats() for things in format.things]
    english = [(things.noun, things.nouns, things.slug, things.name) for things in kinds]
    with translation.override("de"):
        german = [(things.noun, things.nouns, things.slug, things.name) for things in kinds]

    assert [row[2:] for row in german] == [row[2:] for row in english]
    assert [row[:2] for row in german] == [
        ("Bestellung", "Bestellungen"), ("Beitritt", "Beitritte"), ("später Beitritt", "späte Beitritte"),
            ("Zuschlag", "Zuschläge"), ("Zugriff", "Zugriffe"),
    ]  # fmt: skip


def test_a_refusal_of_a_class_is_said_to_its_reader() -> None:
    refusal = NotFound()
    with translation.override("de"):
        assert (refusal.message, refusal.said) == ("There is nothing here.", "Hier ist nichts.")


def test_a_number_that_many_are_told_is_written_for_each() -> None:
    told = format_lazy("{count}", count=number_lazy(1234))
    with translation.override("de"):
        assert str(told) == "1.234"
    assert str(told) == "1,234"


def test_an_action_of_staff_has_one_name_in_every_language() -> None:
    with translation.override("de"):
        act = asks_reason(gettext_lazy("Turn out"), lambda: None)

    assert act.__name__ == "turn_out"


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
    assert not re.search(r"\$\{[^}]*\btn?\(", source), "words are not found inside of a template literal"
    marked = set(re.findall(r"""\bt\(\s*"([^"]*)\"""", source))
    marked |= {said for pair in re.findall(r"""\btn\(\s*"([^"]*)",\s*"([^"]*)\"""", source) for said in pair}
    said = [text[1:-1] for _mark, text in _LITERAL.findall(source)]

    assert [text for text in said if re.match(r"\s*[A-Z{][^A-Z]*[a-z]+[ …!.]", text) and text not in marked] == []


def test_every_check_says_in_german_what_must_be_true() -> None:
    checks = [*WHOLE_CHECKS, *NEWS_CHECKS, *(check for format in list_formats() for check in format.checks)]
    with translation.override("de"):
        same = {check.sentence for check in checks if translation.gettext(check.sentence) == check.sentence}

    assert same == set()
