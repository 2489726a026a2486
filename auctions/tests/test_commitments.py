"""Commitments, the root over them, and the reserve: against what anybody would compute from the description."""

from __future__ import annotations

from hashlib import sha256
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auctions.commitments import committed_text, merkle_root
from auctions.english.reserve import is_reserve, reserve_commitment
from auctions.english.tests.examples import A
from auctions.sealed.rules import SealedBid, bid_commitment, lot_root

LOT, OTHER_LOT = UUID(int=1), UUID(int=2)
SALT, OTHER_SALT = bytes(range(16)), bytes(16)


def test_the_reserves_commitment_is_the_hash_of_a_text_that_anybody_can_write_down():
    text = (
        "dropfront.auction.reserve.v1\nlot: 00000000-0000-0000-0000-000000000001\nreserve_minor: 30000\ncurrency: EUR\n"
        "salt: 000102030405060708090a0b0c0d0e0f\n"
    )

    assert reserve_commitment(LOT, 30_000, "EUR", SALT) == sha256(text.encode()).hexdigest()


def test_only_the_reserve_that_was_sealed_opens_it():
    sealed = reserve_commitment(LOT, 0, "EUR", SALT)

    assert is_reserve(sealed, LOT, 0, "EUR", SALT)
    for other in [
        (LOT, 1, "EUR", SALT),
        (OTHER_LOT, 0, "EUR", SALT),
        (LOT, 0, "USD", SALT),
        (LOT, 0, "EUR", OTHER_SALT),
    ]:
        assert not is_reserve(sealed, *other)


def test_a_bids_commitment_is_the_hash_of_a_text_that_anybody_can_write_down():
    text = (
        "dropfront.auction.sealed-bid.v1\nlot: 00000000-0000-0000-0000-000000000001\nfan: Fan 0A1B2C3D\nquantity: 3\n"
        "limit_minor: 4500\nsalt: 000102030405060708090a0b0c0d0e0f\n"
    )

    assert bid_commitment(LOT, "Fan 0A1B2C3D", sealed(3, 4_500), SALT) == sha256(text.encode()).hexdigest()


def sealed(quantity, limit, seq=1):
    return SealedBid(UUID(int=seq), A, quantity, limit, seq)


def test_each_fact_of_a_bid_is_committed_to():
    all_of = {
        bid_commitment(LOT, "1", sealed(3, 45), SALT),
        bid_commitment(OTHER_LOT, "1", sealed(3, 45), SALT),
        bid_commitment(LOT, "2", sealed(3, 45), SALT),
        bid_commitment(LOT, "1", sealed(4, 45), SALT),
        bid_commitment(LOT, "1", sealed(3, 46), SALT),
        bid_commitment(LOT, "1", sealed(3, 45), OTHER_SALT),
    }

    assert len(all_of) == 6


@pytest.mark.parametrize("name", ["1\nquantity: 9", "1\r", "1\u2028", "1\x0b"])
def test_no_fact_pretends_to_be_two(name):
    with pytest.raises(AssertionError):
        bid_commitment(LOT, name, sealed(3, 45), SALT)


def test_a_salt_that_could_be_tried_out_is_none():
    with pytest.raises(AssertionError):
        committed_text("v1", {}, bytes(15))


# Leaves and roots from the reference tests of Certificate Transparency (RFC 6962).
CT_LEAVES = [
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
]  # fmt: skip
CT_ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    4: "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    6: "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


@pytest.mark.parametrize("size", CT_ROOTS)
def test_the_root_is_that_of_certificate_transparency(size):
    assert merkle_root(CT_LEAVES[:size]) == CT_ROOTS[size]


HASHES = st.lists(st.binary(min_size=32, max_size=32).map(bytes.hex), min_size=1, max_size=40, unique=True)


@given(HASHES, st.data())
def test_the_root_changes_with_every_leaf_with_their_order_and_their_number(hashes, data):
    place = data.draw(st.integers(0, len(hashes) - 1))
    changed = [*hashes[:place], "00" * 31 + "01", *hashes[place + 1 :]]

    assert merkle_root(changed) != merkle_root(hashes)
    assert merkle_root(hashes[:-1]) != merkle_root(hashes)
    assert len(hashes) == 1 or merkle_root(hashes[::-1]) != merkle_root(hashes)


def test_the_lots_root_is_over_the_bids_by_seq():
    bids = [(sealed(1, 50, seq), f"{seq:064x}") for seq in (3, 1, 2)]

    assert lot_root(bids) == merkle_root([f"{seq:064x}" for seq in (1, 2, 3)])
