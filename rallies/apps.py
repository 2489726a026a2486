from sales.apps import FormatConfig


class RalliesConfig(FormatConfig):
    name = "rallies"
    format = "rallies.format.RALLY"
