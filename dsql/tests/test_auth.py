"""Tokens, TLS and dbshell. Signing needs no network, so boto3 signs for real, with credentials that are made up."""

from __future__ import annotations

import datetime
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connection
from psycopg import pq

from dsql import auth, faults
from dsql.auth import NoToken, TokenCache, region_of, with_token
from dsql.client import DatabaseClient
from dsql.tests.relays import make_relay, make_wrapper, server, value_of

__all__ = ["make_relay", "make_wrapper", "server"]

ENDPOINT = "abc.dsql.eu-west-1.on.aws"
KEY = (ENDPOINT, "eu-west-1", "app")


@pytest.fixture(autouse=True)
def made_up_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAMADEUP")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made up")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.delenv("AWS_PROFILE", raising=False)


@pytest.fixture
def tokens(monkeypatch: pytest.MonkeyPatch) -> TokenCache:
    monkeypatch.setattr(auth, "tokens", TokenCache())
    return auth.tokens


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(auth.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def signed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    """What has been signed, in order. Signing is real, and slow enough for others to come meanwhile."""
    done: list[tuple[str, str, str]] = []
    sign = TokenCache._sign

    def spy(self: TokenCache, *key: str) -> str:
        done.append(key)
        time.sleep(0.05)
        return sign(self, *key)

    monkeypatch.setattr(TokenCache, "_sign", spy)
    return done


# -- tokens


def test_a_token_is_for_its_endpoint_region_and_role(tokens: TokenCache) -> None:
    token = tokens.get(*KEY)

    assert token.startswith(f"{ENDPOINT}/?Action=DbConnect&")
    assert "X-Amz-Expires=900" in token
    assert "%2Feu-west-1%2Fdsql%2Faws4_request" in token
    assert "Action=DbConnectAdmin&" in tokens.get(ENDPOINT, "eu-west-1", "admin")


def test_concurrent_first_callers_sign_once(tokens: TokenCache, signed: list[Any]) -> None:
    all_there, got = threading.Barrier(12), []

    def call() -> None:
        all_there.wait(5)
        got.append(tokens.get(*KEY))

    threads = [threading.Thread(target=call) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert (len(got), len(set(got)), signed) == (12, 1, [KEY])


def test_a_token_is_signed_again_before_it_ends(tokens: TokenCache, signed: list[Any], clock: list[float]) -> None:
    for seconds, expected in ((0, 1), (599, 1), (2, 2), (599, 2), (10_000, 3)):
        clock[0] += seconds
        tokens.get(*KEY)
        assert len(signed) == expected


def test_near_its_end_one_signs_while_the_others_use_it(
    tokens: TokenCache, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tokens.get(*KEY)
    clock[0] += auth.TOKEN_RENEW_AFTER_S + 1
    is_signing, may_end = threading.Event(), threading.Event()

    def slow_sign(self: TokenCache, *key: str) -> str:
        is_signing.set()
        assert may_end.wait(5)
        return "new"

    monkeypatch.setattr(TokenCache, "_sign", slow_sign)
    thread = threading.Thread(target=tokens.get, args=KEY)
    thread.start()
    assert is_signing.wait(5)

    assert tokens.get(*KEY) == old  # at once: the signing has not ended
    may_end.set()
    thread.join(5)
    assert tokens.get(*KEY) == "new"


def test_without_credentials_a_sentence_says_so(tokens: TokenCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    with pytest.raises(
        NoToken, match=r"Cannot sign a token for DSQL endpoint 'abc.*Unable to locate credentials.*AWS_PROFILE"
    ):
        tokens.get(*KEY)


def test_a_profile_that_does_not_exist_is_told(tokens: TokenCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")

    with pytest.raises(NoToken, match=r"profile \(nobody\) could not be found"):
        tokens.get(*KEY)


def test_credentials_that_fail_for_a_while_do_not_hurt_while_a_token_is_good(
    tokens: TokenCache, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tokens.get(*KEY)
    tokens._clients.clear()
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    clock[0] += auth.TOKEN_RENEW_AFTER_S + 1
    assert tokens.get(*KEY) == old
    clock[0] += auth.TOKEN_EXPIRES_AFTER_S
    with pytest.raises(NoToken):
        tokens.get(*KEY)


@pytest.mark.parametrize("text", ["unable to accept connection, access denied", "Signature expired: 20260101"])
def test_a_refused_token_is_signed_anew_once(text: str, tokens: TokenCache, signed: list[Any]) -> None:
    used: list[str] = []

    def dial(token: str) -> str:
        used.append(token)
        raise psycopg.OperationalError(f"FATAL:  {text}")

    with pytest.raises(psycopg.OperationalError):
        with_token(*KEY, dial)
    assert (len(used), len(signed)) == (2, 2)


@pytest.mark.parametrize("text", ["connection refused", faults.WAKING_MESSAGE])
def test_other_failures_keep_the_token(text: str, tokens: TokenCache, signed: list[Any]) -> None:
    def dial(token: str) -> str:
        raise psycopg.OperationalError(text)

    for _ in range(2):
        with pytest.raises(psycopg.OperationalError):
            with_token(*KEY, dial)
    assert len(signed) == 1


def test_only_the_token_that_was_refused_is_forgotten(tokens: TokenCache, signed: list[Any]) -> None:
    tokens.get(*KEY)
    tokens.forget(*KEY, text="an older one")
    tokens.get(*KEY)

    assert len(signed) == 1


def test_the_region_is_in_the_endpoint() -> None:
    assert region_of(ENDPOINT) == "eu-west-1"
    assert region_of("abc.dsql-private.eu-west-1.on.aws") == "eu-west-1"
    with pytest.raises(ImproperlyConfigured):
        region_of("localhost")


# -- TLS, before a real server: the relay takes TLS from the first byte, as DSQL does


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for "localhost", which is its own root."""
    x509 = pytest.importorskip("cryptography.x509", reason="certificates are made with the package cryptography")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def tls_port(certificate: Path, make_relay: Callable[..., Any]) -> int:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    tls.set_alpn_protocols(["postgresql"])
    return make_relay(listen="localhost:0", tls=tls).port


needs_direct_tls = pytest.mark.skipif(
    pq.version() < auth.LIBPQ_WITH_DIRECT_TLS, reason="this libpq is older than 17 and cannot begin with TLS"
)


@pytest.fixture
def live(tokens: TokenCache, make_wrapper: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    # The test server knows no database for everybody; which one is asked for is not what is tested here.
    monkeypatch.setattr("dsql.base.DATABASE_NAME", connection.settings_dict["NAME"])

    def make(host: str, port: int, **options: Any) -> Any:
        return make_wrapper(endpoints=[{"host": host, "port": port, "region": "eu-west-1"}], **options)

    return make


@needs_direct_tls
def test_a_live_connection_verifies_its_endpoint_and_sends_a_token(
    live: Callable[..., Any], tls_port: int, certificate: Path, signed: list[Any]
) -> None:
    wrapper = live("localhost", tls_port, sslrootcert=str(certificate))

    assert wrapper.is_live
    assert not wrapper.is_strict
    assert value_of(wrapper, "SELECT 1") == 1
    assert wrapper.connection.pgconn.ssl_in_use
    assert wrapper.endpoint == f"localhost:{tls_port}"
    assert signed == [("localhost", "eu-west-1", connection.settings_dict["USER"])]
    info = wrapper.connection.info.get_parameters()
    assert (info["sslmode"], info["sslnegotiation"]) == ("verify-full", "direct")


@needs_direct_tls
def test_a_certificate_for_another_name_is_refused(live: Callable[..., Any], tls_port: int, certificate: Path) -> None:
    wrapper = live("127.0.0.1", tls_port, sslrootcert=str(certificate))

    with pytest.raises(OperationalError, match="does not match host name"):
        wrapper.ensure_connection()


@needs_direct_tls
def test_a_certificate_of_an_unknown_root_is_refused(live: Callable[..., Any], tls_port: int) -> None:
    with pytest.raises(OperationalError, match="certificate verify failed"):
        live("localhost", tls_port).ensure_connection()


@needs_direct_tls
def test_the_systems_roots_are_trusted(
    live: Callable[..., Any], tls_port: int, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if the system's administrator had added our root, where only Python's OpenSSL looks.
    monkeypatch.setattr(auth.ssl, "get_default_verify_paths", lambda: SimpleNamespace(cafile=str(certificate)))

    assert value_of(live("localhost", tls_port), "SELECT 1") == 1


def test_a_token_never_travels_unverified(live: Callable[..., Any]) -> None:
    with pytest.raises(ImproperlyConfigured):
        live("localhost", 1, sslmode="require")


# -- dbshell


def test_dbshell_goes_to_dsql_with_a_token(tokens: TokenCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dsql.client._nearest_in_reach", lambda endpoints: endpoints[0])
    monkeypatch.setattr("dsql.client.tokens", tokens)
    settings = {"NAME": "ignored", "USER": "app", "OPTIONS": {"endpoints": [ENDPOINT], "sslrootcert": "/roots.pem"}}

    arguments, environment = DatabaseClient.settings_to_cmd_args_env(settings, ["-c", "SELECT 1"])

    assert arguments == ["psql", "-U", "app", "-h", ENDPOINT, "-p", "5432", "-c", "SELECT 1", "postgres"]
    assert environment is not None
    assert environment.pop("PGPASSWORD") == tokens.get(*KEY)
    direct = {"PGSSLNEGOTIATION": "direct"} if pq.version() >= auth.LIBPQ_WITH_DIRECT_TLS else {}
    assert environment == {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": "/roots.pem", **direct}


def test_dbshell_skips_an_endpoint_out_of_reach(make_relay: Callable[..., Any]) -> None:
    near, far = make_relay(), make_relay()
    near.stop()
    settings = {"NAME": "shop", "USER": "app", "OPTIONS": {"endpoints": [near.address, far.address]}}

    arguments, environment = DatabaseClient.settings_to_cmd_args_env(settings, [])

    assert arguments == ["psql", "-U", "app", "-h", "127.0.0.1", "-p", str(far.port), "shop"]
    assert environment is None


def test_dbshell_without_endpoints_is_djangos() -> None:
    settings = {"NAME": "shop", "USER": "app", "HOST": "/run/pg", "PORT": "5432", "PASSWORD": "x"}

    assert DatabaseClient.settings_to_cmd_args_env(settings, []) == (
        ["psql", "-U", "app", "-h", "/run/pg", "-p", "5432", "shop"],
        {"PGPASSWORD": "x"},
    )
