from sales.apps import FormatConfig


class DropsConfig(FormatConfig):
    name = "drops"
    formats = ("drops.format.DROP",)
