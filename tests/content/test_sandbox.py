"""A decoder that dies, hangs, eats memory or talks nonsense hurts one item and nothing else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest
from media_makers import encoded, picture

from llm_judge.content import sandbox as sandbox_module
from llm_judge.content.limits import DEFAULT_LIMITS
from llm_judge.content.sandbox import Sandbox, require_media
from llm_judge.errors import ContentDamaged, ContentTooLarge, ContentUnsupported

OPTIONS = {"format": "PNG", "max_pixels": 40_000_000, "max_frames": 8}
CHILD = """
import os, sys, time
from llm_judge.content.framing import read_message, write_message
header, body = read_message(sys.stdin.buffer, 1 << 20)
{}
"""


@pytest.fixture
def real() -> Iterator[Sandbox]:
    box = Sandbox()
    yield box
    box.close()


def _child(code: str) -> Sandbox:
    return Sandbox((sys.executable, "-P", "-c", CHILD.format(code)))


@pytest.mark.parametrize(
    "code",
    ["os.abort()", "sys.exit(3)", "sys.stdout.write('x' * 100)", "os.write(1, b'LJ01' + bytes([255] * 12))"],
)
def test_a_dying_or_babbling_decoder_is_a_damaged_item(code: str) -> None:
    box = _child(code)
    for _ in range(2):  # the second call starts a fresh child
        with pytest.raises(ContentDamaged, match="`x` stopped the decoder"):
            box.run("image", "`x`", b"data")
    box.close()


def test_a_hanging_decoder_is_stopped() -> None:
    box = _child("time.sleep(60)")
    with pytest.raises(ContentTooLarge, match="more than 1 s to decode"):
        box.run("image", "`x`", b"data", limits=replace(DEFAULT_LIMITS, decode_seconds=1))


def test_a_refusal_cannot_garble_the_terminal() -> None:
    box = _child(
        r"write_message(sys.stdout.buffer, {{'refused': 'odd', 'message': 'a\n\x1b[31mb' + 'c' * 999}})"
    )
    with pytest.raises(ContentDamaged) as caught:
        box.run("image", "`x`", b"data")
    assert "\n" not in caught.value.message and "\x1b" not in caught.value.message
    assert len(caught.value.message) < 250
    box.close()


def test_a_decode_out_of_memory_is_too_large_and_the_next_one_works(real: Sandbox) -> None:
    small, large = encoded(picture()), encoded(picture(size=(6000, 6000)))
    real.run("image", "`a`", small, OPTIONS)  # libraries are loaded before memory gets tight
    with pytest.raises((ContentTooLarge, ContentDamaged)):
        real.run("image", "`b`", large, OPTIONS, replace(DEFAULT_LIMITS, decode_bytes=150_000_000))
    header, raw = real.run("image", "`c`", small, OPTIONS)
    assert (header["width"], header["height"], len(raw)) == (480, 200, 480 * 200 * 3)


def test_missing_packages_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox_module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ContentUnsupported, match="av, PIL") as caught:
        require_media("av", "PIL")
    assert caught.value.hint == "pip install 'llm-judge[media]'"
