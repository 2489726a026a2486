from tests.tools.contract import Specimen

SPECIMEN = Specimen(
    form={
        "price": "10.00", "currency": "EUR", "units_total": "3", "limit_per_fan": "2", "hold_minutes": "0",
        "give_back_minutes": "0",
    },
    api={"price_minor": 1_000, "units_total": 3, "limit_per_fan": 2},
    purchase={"quantity": 1},
    other={"quantity": 2},
    costs_minor=1_000,
)  # fmt: skip
