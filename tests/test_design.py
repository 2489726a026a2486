"""The design system keeps its promises: contrasts, figures, files of others, and one place for every value."""

from __future__ import annotations

import hashlib
import json
import math
import re
from pathlib import Path

import pytest
from fontTools.ttLib import TTFont

ROOT = Path(__file__).resolve().parent.parent
STATIC = ROOT / "static"
TOKENS = (STATIC / "css" / "tokens.css").read_text()
SCHEMES = ("light", "dark")


def role(name: str, scheme: str, hue: float = 0, chroma: float = 0) -> tuple[float, float, float]:
    """A role's lightness, chroma and hue in one scheme, as the tokens say."""
    pair = re.search(rf"--color-{name}: light-dark\((.*?)\);", TOKENS, re.DOTALL)
    assert pair, name
    text = pair[1].replace("var(--shop-hue)", str(hue))
    text = re.sub(r"calc\(var\(--shop-chroma\) \* ([0-9.]+)\)", lambda times: str(chroma * float(times[1])), text)
    text = text.replace("var(--shop-chroma)", str(chroma))
    found = re.findall(r"oklch\(([0-9.]+) ([0-9.]+) ([0-9.]+)", text)
    lightness, strength, angle = (float(number) for number in found[SCHEMES.index(scheme)])
    return lightness, strength, angle


def luminance(colour: tuple[float, float, float]) -> float:
    """Relative luminance (WCAG) of an OKLCH colour, after what sRGB cannot show is cut off as browsers do."""
    lightness, chroma, hue = colour
    a, b = chroma * math.cos(math.radians(hue)), chroma * math.sin(math.radians(hue))
    long, middle, short = (
        (lightness + x * a + y * b) ** 3
        for x, y in ((0.3963377774, 0.2158037573), (-0.1055613458, -0.0638541728), (-0.0894841775, -1.2914855480))
    )
    red = 4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short
    green = -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short
    blue = -0.0041960863 * long - 0.7034186147 * middle + 1.7076147010 * short
    red, green, blue = (min(max(part, 0), 1) for part in (red, green, blue))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: tuple[float, float, float], other: tuple[float, float, float]) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


TEXT_ON = [
    *((ink, ground) for ink in ("ink", "ink-muted", "accent", "accent-strong", "bad", "live", "warn", "good")
      for ground in ("canvas", "surface")),
    *((ink, "sunken") for ink in ("ink", "ink-muted", "accent")),
    ("on-act", "act"), ("on-act", "act-strong"),
    *((name, f"{name}-ground") for name in ("live", "bad", "warn", "good")),
    *(("ink", f"{name}-ground") for name in ("live", "bad", "warn", "good")),
]  # fmt: skip


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(("ink", "ground"), TEXT_ON, ids=lambda name: name)
def test_text_can_be_read_on_its_ground(ink: str, ground: str, scheme: str) -> None:
    assert contrast(role(ink, scheme), role(ground, scheme)) >= 4.5


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("ground", ["canvas", "surface"])
def test_edges_of_controls_can_be_seen(ground: str, scheme: str) -> None:
    for name in ("edge", "focus", "act"):
        assert contrast(role(name, scheme), role(ground, scheme)) >= 3


@pytest.mark.parametrize("scheme", SCHEMES)
def test_whatever_colour_a_shop_chooses_its_text_can_be_read(scheme: str) -> None:
    from sellers.theme import CHROMA_MAX

    for hue in range(0, 360, 5):
        for chroma in range(0, CHROMA_MAX + 1, 7):
            ink, ground = (role(name, scheme, hue, chroma / 100) for name in ("shop", "shop-ground"))
            assert contrast(ink, ground) >= 4.5, (hue, chroma)
            assert contrast(role("ink", scheme), ground) >= 4.5, (hue, chroma)


def test_live_failing_and_low_are_three_colours() -> None:
    for scheme in SCHEMES:
        hues = [role(name, scheme)[2] for name in ("live", "bad", "warn", "good")]
        assert all(abs(one - other) >= 20 for i, one in enumerate(hues) for other in hues[:i])


def test_only_the_tokens_name_colours() -> None:
    for path in [*STATIC.glob("css/*.css"), *ROOT.glob("*/static/**/*.css")]:
        if path.name == "tokens.css" or "vendor" in path.parts:
            continue
        # Masks are cut with black; paper is white.
        text = re.sub(r"mask:.*?;", "", path.read_text(), flags=re.DOTALL)
        text = re.sub(r"@layer print \{.*", "", text, flags=re.DOTALL)
        assert not re.findall(r"#[0-9a-f]{3,8}\b|oklch\(|rgb\(", text), path


def test_figures_stand_in_columns() -> None:
    """Digits that tick are set in a face whose digits can all be as wide."""
    for name in ("bricolage-grotesque", "instrument-sans"):
        font = TTFont(STATIC / "vendor" / "fonts" / f"{name}-latin-wght-normal.woff2")
        assert "tnum" in {record.FeatureTag for record in font["GSUB"].table.FeatureList.FeatureRecord}, name
        assert ord("€") in font.getBestCmap()


def test_files_of_others_are_what_the_manifest_says() -> None:
    folder = STATIC / "vendor"
    manifest = json.loads((folder / "manifest.json").read_text())
    named = {"manifest.json"}
    for package in manifest["packages"]:
        assert package["version"]
        assert package["licence"] in {"OFL-1.1", "ISC", "0BSD", "MIT"}
        assert (folder / package["licence_as"]).read_text().strip()
        named.add(package["licence_as"])
        for entry in package["files"]:
            assert hashlib.sha256((folder / entry["path"]).read_bytes()).hexdigest() == entry["sha256"], entry["path"]
            named.add(entry["path"])
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert there == named


def test_every_icon_that_a_template_names_is_in_the_sprite() -> None:
    sprite = (STATIC / "vendor" / "icons.svg").read_text()
    drawn = set(re.findall(r'<symbol id="([a-z0-9-]+)"', sprite))
    templates = [*ROOT.glob("templates/**/*.html"), *ROOT.glob("*/templates/**/*.html")]
    used = {name for path in templates for name in re.findall(r'{% icon "([a-z0-9-]+)"', path.read_text())}
    from ledger.presenters import ICONS

    assert used | set(ICONS.values()) | {"arrow-right"} <= drawn


def test_the_script_of_a_room_is_light() -> None:
    """All modules that a room loads, each compressed as it is served: at most 60 KB."""
    import gzip

    for start in (
        ROOT / "drops" / "static" / "drops" / "drop.js",
        ROOT / "rallies" / "static" / "rallies" / "rally.js",
    ):
        seen: set[Path] = set()
        waiting = [start, STATIC / "js" / "page.js"]
        while waiting:
            path = waiting.pop()
            if path in seen:
                continue
            seen.add(path)
            for name in re.findall(r'from "(\.[^"]+)"', path.read_text()):
                # Apps' files and ours are served side by side, below /static/.
                inside = name.split("/")
                waiting.append(
                    STATIC / "/".join(inside[1:])
                    if inside[0] == ".." and path.parent.name in ("drops", "rallies", "js")
                    else path.parent / name
                )
        assert sum(len(gzip.compress(path.read_bytes())) for path in seen) <= 60_000
