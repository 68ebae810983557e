"""What can be said about a picture on screen without knowing what it shows."""

from __future__ import annotations

import io
import time

import numpy as np
from jaxtyping import Int
from PIL import Image
from playwright.sync_api import Locator

# Sum over red, green and blue (0 to 255 each) that an eye would notice.
NOTICEABLE = 30


def pixels(locator: Locator) -> Int[np.ndarray, "height width 3"]:
    """A screenshot of one element."""
    picture = Image.open(io.BytesIO(locator.first.screenshot())).convert("RGB")
    return np.asarray(picture).astype(int)


def drawn_fraction(locator: Locator) -> float:
    """Fraction of the pixels that differ from the background in the corner."""
    picture = pixels(locator)
    if min(picture.shape[:2]) < 10:
        return 0.0  # Not laid out yet.
    difference = np.abs(picture - picture[5, 5]).sum(axis=2)
    return float((difference > NOTICEABLE).mean())


def changed_fraction(before: np.ndarray, after: np.ndarray) -> float:
    """Fraction of the pixels that differ between two pictures of one element."""
    assert before.shape == after.shape, (before.shape, after.shape)
    return float((np.abs(before - after).sum(axis=2) > NOTICEABLE).mean())


def wait_until_drawn(
    locator: Locator, *, fraction: float = 0.02, timeout_s: float = 40
) -> Int[np.ndarray, "height width 3"]:
    """Wait until an element is there and not blank; its picture."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if locator.count() and drawn_fraction(locator) > fraction:
            return pixels(locator)
        locator.page.wait_for_timeout(200)
    raise AssertionError(f"{locator} stayed blank for {timeout_s} s.")


def wait_until_changed(
    locator: Locator,
    before: np.ndarray,
    *,
    fraction: float = 0.005,
    timeout_s: float = 20,
) -> Int[np.ndarray, "height width 3"]:
    """Wait until an element looks different; its picture."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        after = pixels(locator)
        if after.shape != before.shape:
            before = after  # The page was laid out anew; that is no change of content.
        if changed_fraction(before, after) > fraction:
            return after
        locator.page.wait_for_timeout(100)
    raise AssertionError(f"{locator} did not change for {timeout_s} s.")


def wait_until_alike(
    locator: Locator,
    wanted: np.ndarray,
    *,
    fraction: float = 0.002,
    timeout_s: float = 30,
) -> None:
    """Wait until an element looks like a picture taken before."""
    end = time.monotonic() + timeout_s
    difference = 1.0
    while time.monotonic() < end:
        difference = changed_fraction(wanted, pixels(locator))
        if difference < fraction:
            return
        locator.page.wait_for_timeout(200)
    raise AssertionError(f"{locator} still differs in {difference:.1%} of its pixels.")
