from tests.tools.contract import Specimen

SPECIMEN = Specimen(
    form={
        "start": "10.00", "currency": "EUR", "steps": "0:0.50, 50:1", "reserve": "", "buy_now": "", "window_minutes": "3",
        "extension_minutes": "3", "overtime_minutes": "60", "premium_bps": "1250",
    },
    api={"start_minor": 1_000, "steps": "0:50,5000:100", "premium_bps": 1_250},
    purchase={"max": 2_000},
    other={"max": 2_500},
    costs_minor=2_250,
    seller_may_end=False,
)  # fmt: skip
