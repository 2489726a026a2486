from tests.tools.contract import Specimen

SPECIMEN = Specimen(form={"price": "5.00", "currency": "EUR", "prizes": "1"}, purchase={}, costs_minor=500)
