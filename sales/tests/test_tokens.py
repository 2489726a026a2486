from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sales.errors import BadBuyToken
from sales.tokens import VALID_S, BuyToken, make_buy_token, read_buy_token

FAN, SALE = UUID(int=1), UUID(int=2)
NOW_S = 1_800_000_000.5


def token(*, is_verified: bool = True) -> str:
    return make_buy_token(fan_id=FAN, sale_id=SALE, is_verified=is_verified, now_s=NOW_S)


@pytest.mark.parametrize("is_verified", [True, False])
def test_a_token_says_who_may_buy_where_and_until_when(is_verified):
    read = read_buy_token(token(is_verified=is_verified), sale_id=SALE, now_s=NOW_S)

    assert read == BuyToken(FAN, SALE, is_verified, int(NOW_S) + VALID_S, int(NOW_S * 1_000))


@pytest.mark.parametrize("later_s", [VALID_S, VALID_S + 1, 10 * VALID_S])
def test_a_token_runs_out(later_s):
    assert read_buy_token(token(), sale_id=SALE, now_s=int(NOW_S) + VALID_S - 1)
    with pytest.raises(BadBuyToken):
        read_buy_token(token(), sale_id=SALE, now_s=int(NOW_S) + later_s)


def test_a_token_is_for_one_sale():
    with pytest.raises(BadBuyToken):
        read_buy_token(token(), sale_id=UUID(int=3), now_s=NOW_S)


def test_every_bit_is_covered_by_the_signature():
    raw = urlsafe_b64decode(token() + "==")
    for bit in range(len(raw) * 8):
        forged = bytearray(raw)
        forged[bit // 8] ^= 1 << (bit % 8)
        with pytest.raises(BadBuyToken):
            read_buy_token(urlsafe_b64encode(forged).rstrip(b"=").decode(), sale_id=SALE, now_s=NOW_S)


@pytest.fixture
def new_key(settings):
    """Signs from now on; the key before it is still known while it is in `SECRET_KEY_FALLBACKS`."""
    from sales import tokens

    before = settings.SECRET_KEY

    def rotate(*, keeps: bool) -> None:
        settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another", [before] if keeps else []
        tokens._keys.cache_clear()

    yield rotate
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = before, []
    tokens._keys.cache_clear()


def test_a_token_of_another_key_is_refused(new_key):
    made_here = token()
    new_key(keeps=False)

    with pytest.raises(BadBuyToken):
        read_buy_token(made_here, sale_id=SALE, now_s=NOW_S)


def test_a_token_of_the_key_before_is_good_until_that_is_taken_out(new_key):
    made_here = token()
    new_key(keeps=True)

    assert read_buy_token(made_here, sale_id=SALE, now_s=NOW_S)
    assert token() != made_here


def test_names_on_proofs_outlive_the_secret_key(settings):
    from sales.pseudonyms import pseudonym

    before = pseudonym(SALE, FAN)
    settings.SECRET_KEY = "another"

    assert pseudonym(SALE, FAN) == before


@given(st.text(max_size=120) | st.text("ABCabc019-_", min_size=len(token()), max_size=len(token())))
def test_any_other_text_is_refused(text):
    with pytest.raises(BadBuyToken):
        read_buy_token(text, sale_id=SALE, now_s=NOW_S)


@pytest.mark.parametrize("change", ["{}=", " {}", "{}\n", "{}A"])
def test_a_token_has_one_spelling(change):
    with pytest.raises(BadBuyToken):
        read_buy_token(change.format(token()), sale_id=SALE, now_s=NOW_S)
