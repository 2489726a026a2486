"""Draws what is printed on the paper in the scenes: a risograph in three colours, and a chart of a harbour. Needs numpy.

Then `povray +Ibowl.pov +O../bowl.png +W1280 +H960 +A0.3` for each scene (the covers: +W1600 +H600), and to JPEG.
"""

import math
import random

import numpy as np
from PIL import Image, ImageDraw, ImageFont

random.seed(7)
W, H = 1200, 1600


def halftone(layer, angle, cell, colour, paper):
    """`layer` L: dark is ink
    multiplies dots of colour onto paper."""
    a = np.asarray(layer, dtype=float) / 255
    yy, xx = np.mgrid[0:H, 0:W]
    c, s = math.cos(angle), math.sin(angle)
    u = (xx * c + yy * s) / cell
    v = (-xx * s + yy * c) / cell
    d = (np.cos(2 * math.pi * u) + np.cos(2 * math.pi * v)) / 4 + 0.5
    ink = np.clip(((1 - a) - d) * 6 + 0.5, 0, 1) * 0.93
    p = np.asarray(paper, dtype=float)
    col = np.array(colour, dtype=float)
    mult = 1 - ink[..., None] * (1 - col / 255)
    return Image.fromarray((p * mult).clip(0, 255).astype("uint8"))


def aurora():
    paper = Image.new("RGB", (W, H), (244, 240, 228))
    yy, xx = np.mgrid[0:H, 0:W]
    n = sum(np.sin(xx * f + ph) * am for f, ph, am in ((0.004, 1, 120), (0.011, 2.2, 60), (0.023, 0.4, 22)))
    bandA = np.exp(-(((yy - 520 - n) / 210) ** 2))
    bandB = np.exp(-(((yy - 760 - n * 0.7) / 150) ** 2))
    sky = np.clip(yy / 900, 0, 1)
    L1 = Image.fromarray((255 - 255 * np.clip(bandA * 0.95, 0, 1)).astype("uint8"))
    L2 = Image.fromarray((255 - 255 * np.clip(bandB * 0.9 + 0.25 * (1 - sky), 0, 1)).astype("uint8"))
    hills = Image.new("L", (W, H), 255)
    d = ImageDraw.Draw(hills)
    for base, amp, val in ((1130, 120, 150), (1240, 90, 80), (1350, 60, 20)):
        pts = [
            (x, base + amp * math.sin(x * 0.006 + base) + amp * 0.4 * math.sin(x * 0.017 + base * 2))
            for x in range(0, W + 10, 10)
        ]
        d.polygon([*pts, (W, H), (0, H)], fill=val)
    for _ in range(160):
        x = random.randint(0, W)
        y = 1370 + random.randint(-60, 120)
        h = random.randint(50, 130)
        d.polygon([(x, y - h), (x - h * 0.22, y), (x + h * 0.22, y)], fill=0)
    out = halftone(L1, 0.3, 9, (0, 169, 157), paper)
    out = halftone(L2, 1.1, 9, (255, 72, 110), out)
    out = halftone(hills, 0.8, 8, (38, 54, 120), out)
    d = ImageDraw.Draw(out)
    m = Image.new("RGB", (W, H), (244, 240, 228))
    box = (80, 80, W - 80, H - 170)
    m.paste(out.crop(box), box[:2])
    d = ImageDraw.Draw(m)
    f = ImageFont.truetype("DejaVuSerif.ttf", 34)
    d.text((80, H - 140), "aurora", font=f, fill=(38, 54, 120))
    d.text((W - 230, H - 140), "12 / 120", font=f, fill=(38, 54, 120))
    m.save("aurora.png")


def harbour():
    S = (1500, 1100)
    im = Image.new("RGB", S, (240, 232, 212))
    d = ImageDraw.Draw(im)
    ink = (44, 62, 80)
    yy, xx = np.mgrid[0 : S[1], 0 : S[0]]
    rng = np.random.default_rng(3)
    z = np.zeros((S[1], S[0]))
    for k in range(9):
        fx, fy, ph, am = rng.uniform(0.001, 0.008), rng.uniform(0.001, 0.008), rng.uniform(0, 6), 1 / (k + 1)
        z += am * np.sin(xx * fx + ph) * np.cos(yy * fy + ph * 2)
    z += 1.1 * (xx / S[0] - 0.55) + 0.5 * (0.5 - yy / S[1])
    land = z > 0.25
    a = np.asarray(im).copy()
    a[land] = (222, 205, 166)
    for lv in (-0.05, -0.35, -0.65, -0.95):
        m = np.abs(z - lv) < 0.006
        a[m] = (120, 150, 170)
    shallow = (z <= 0.25) & (z > -0.05)
    a[shallow] = (205, 224, 224)
    coast = np.abs(z - 0.25) < 0.012
    a[coast] = ink
    hatch = land & (((xx + yy) % 14) < 1)
    a[hatch] = (196, 176, 134)
    im = Image.fromarray(a)
    d = ImageDraw.Draw(im)
    f = ImageFont.truetype("DejaVuSerif.ttf", 18)
    for _ in range(240):
        x, y = int(rng.uniform(30, S[0] - 30)), int(rng.uniform(30, S[1] - 30))
        if z[y, x] < 0.1:
            d.text((x, y), str(int((0.3 - z[y, x]) * 18) + 1), font=f, fill=(70, 95, 115))
    cx, cy = 330, 800
    for i in range(32):
        t = math.pi * 2 * i / 32
        r = 150 if i % 8 == 0 else 110 if i % 4 == 0 else 70
        d.line([(cx, cy), (cx + r * math.sin(t), cy - r * math.cos(t))], fill=ink, width=2 if i % 4 == 0 else 1)
    for r in (60, 66, 152):
        d.ellipse([cx - r, cy - r, cx + r, cy + r], outline=ink)
    for i in range(16):
        t = math.pi * 2 * i / 16
        d.line([(cx, cy), (cx + 2000 * math.sin(t), cy - 2000 * math.cos(t))], fill=(150, 160, 165), width=1)
    d.rectangle([14, 14, S[0] - 15, S[1] - 15], outline=ink, width=5)
    d.rectangle([28, 28, S[0] - 29, S[1] - 29], outline=ink, width=1)
    F = ImageFont.truetype("DejaVuSerif-Bold.ttf", 46)
    d.rectangle([70, 70, 560, 220], fill=(240, 232, 212), outline=ink, width=2)
    d.text((95, 85), "THE HARBOUR", font=F, fill=ink)
    d.text((98, 150), "soundings in fathoms at low water", font=f, fill=ink)
    d.text((98, 178), "from the pilot's book", font=f, fill=ink)
    im.save("harbour.png")


aurora()
harbour()
