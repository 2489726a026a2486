from tests.tools.contract import Specimen

SPECIMEN = Specimen(
    form={
        "currency": "EUR", "rows": "2", "tier_price_0": "100.00", "tier_count_1": "2", "tier_price_1": "80.00",
        "basis": "joiners", "minimum": "1", "limit_per_fan": "2", "audience": "everyone", "repeats_left": "0",
    },
    api={"tiers": [{"from_count": 1, "price_minor": 10_000}, {"from_count": 2, "price_minor": 8_000}], "limit_per_fan": 2},
    purchase={"quantity": 1},
    other={"quantity": 2},
    costs_minor=10_000,
)  # fmt: skip
