"""Requests made up from the OpenAPI document, sent to a running site by a stranger, a fan and a seller: every answer is one that
the document describes, and none is a fault of the server's.

`FUZZ_SECONDS` is how long for each of the three; the suite takes little, `FUZZ_SECONDS=180 bin/test tests/e2e/test_api_fuzzed.py`
takes it seriously.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.e2e.shop import HANDLE
from tests.e2e.site import Site

SECONDS = int(os.environ.get("FUZZ_SECONDS", "15"))
PASSWORD = "drop-front-demo"
# What is wrong with a request that is answered as the document says is not looked at here: tests of their own do.
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_headers_conformance,response_schema_conformance"
)


# As JSON, whose strings are TOML's too. What nobody has, a made-up id stands for.
FIND = """
import json
from drops.models import Order
from rallies.models import Join, LateJoin
from sales.models import Sale
def ids(model): return [str(id) for id in model.objects.order_by("-id").values_list("id", flat=True)[:40]]
print(json.dumps({"sale_id": ids(Sale), "order_id": ids(Order), "join_id": ids(Join),
                  "id": ids(Order) + ids(Join) + ids(LateJoin)}))
"""


@pytest.fixture(scope="module")
def known(site: Site) -> dict[str, list[str]]:
    """Parameter → values that exist, to stand among those that are made up: else every answer would be "not found"."""
    found: dict[str, list[str]] = json.loads(site.manage("shell", "-v", "0", "-c", FIND))
    return {name: values for name, values in found.items() if values} | {"handle": [HANDLE]}


def logged_in(site: Site, email: str) -> dict[str, str]:
    """The headers of a session."""
    with httpx.Client(base_url=site.url) as client:
        client.get("/accounts/login/")
        form = {"login": email, "password": PASSWORD, "csrfmiddlewaretoken": client.cookies["csrf"]}
        assert client.post("/accounts/login/", data=form).status_code == 302
        cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        return {"Cookie": cookies, "X-CSRFToken": client.cookies["csrf"]}


def tokens(site: Site, headers: dict[str, str], sale_ids: list[str]) -> list[str]:
    """Buy tokens for all sales that give one."""
    with httpx.Client(base_url=site.url, headers=headers) as client:
        asked = [client.post(f"/api/v1/sales/{sale_id}/buy-token") for sale_id in sale_ids]
    return [answer.json()["buy_token"] for answer in asked if answer.status_code == 200]


def config(headers: dict[str, str], known: dict[str, list[str]]) -> str:
    """Schemathesis' settings, as TOML."""
    lines = [f"headers = {{ {', '.join(f'{name} = {json.dumps(value)}' for name, value in headers.items())} }}"]
    lines += [f"[dictionaries.{name}]\nvalues = {json.dumps(values)}" for name, values in known.items()]
    lines += ["[parameters]", *(f'{name} = {{ dictionary = "{name}", probability = 0.8 }}' for name in known)]
    # Busy is an answer, and the document has it.
    lines += ["[checks.not_a_server_error]", 'expected-statuses = ["2xx", "3xx", "4xx", "503"]']
    return "\n".join(lines)


@pytest.mark.slow
@pytest.mark.parametrize("who", ["", "fan@example.org", "seller@example.org"], ids=["stranger", "fan", "seller"])
def test_no_answer_is_a_fault_or_unknown_to_the_document(
    site: Site, known: dict[str, list[str]], who: str, tmp_path: Path
) -> None:
    headers = logged_in(site, who) if who else {}
    if who:
        known = known | {"X-Buy-Token": tokens(site, headers, known["sale_id"])}
    settings = tmp_path / "schemathesis.toml"
    settings.write_text(config(headers, known))

    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(settings), "--no-color", "run"]
    options = ["--checks", CHECKS, "--max-time", str(SECONDS), "--seed", "1", "--suppress-health-check", "all"]
    done = subprocess.run(
        [*command, f"{site.url}/api/v1/openapi.json", *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
