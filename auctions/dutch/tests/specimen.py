from tests.tools.contract import Specimen

SPECIMEN = Specimen(
    form={
        "start": "20.00", "floor": "10.00", "step": "1.00", "interval_s": "86400", "currency": "EUR", "units_total": "3",
        "pays": "own", "premium_bps": "1250",
    },
    api={
        "start_minor": 2_000, "floor_minor": 1_000, "step_minor": 100, "interval_s": 86_400, "units_total": 3, "premium_bps": 1_250,
    },
    purchase={"at_most": 2_000, "quantity": 1},
    other={"at_most": 2_000, "quantity": 2},
    costs_minor=2_250,
    seller_may_end=False,
)  # fmt: skip
