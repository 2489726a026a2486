"""Draws what is engraved on the copper plate of `plate.pov`, in lines only: run it before povray, as art.py. Needs Pillow."""

import math

from PIL import Image, ImageDraw

W, H = 1600, 1200
plate = Image.new("L", (W, H), 255)
pen = ImageDraw.Draw(plate)


def aurora(x: float, number: int) -> float:
    lift = 120 * math.sin(x * 0.004 + 1) + 50 * math.sin(x * 0.011 + 2.2)
    return 180 + number * 16 + lift * (1 - number / 60)


for number in range(34):
    for x in range(90, W - 90, 4):
        light = math.exp(-(((number - 12 - 6 * math.sin(x * 0.006)) / 7) ** 2))
        width = max(1, round(7 * (1 - light)))
        if light < 0.93:
            pen.line([(x, aurora(x, number)), (x + 5, aurora(x + 5, number))], fill=30, width=width)
for base, height, gap in ((800, 110, 16), (900, 90, 11), (1000, 60, 7)):
    ridge = [
        (x, base + height * math.sin(x * 0.006 + base) + height * 0.4 * math.sin(x * 0.017))
        for x in range(90, W - 88, 2)
    ]
    pen.polygon([*ridge, (W - 90, H - 90), (90, H - 90)], fill=255)
    pen.line(ridge, fill=20, width=6)
    for number, (x, y) in enumerate(ridge):
        if number % gap == 0:
            pen.line([(x, y), (x - 60, min(y + 150, H - 90))], fill=20, width=3)
pen.rectangle([0, 0, 84, H], fill=255)
pen.rectangle([70, 70, W - 70, H - 70], outline=20, width=5)
pen.line([(110, H - 120), (W - 110, 120)], fill=0, width=9)  # cancelled: no print can be taken any more
plate.save("engraving.png")
