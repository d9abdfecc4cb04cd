"""Pictures through the joined steps: shown in their window, paid for, and cited."""

from __future__ import annotations

from typing import Any

from samples import BANDS, compiled, make_content, make_policy, make_rule, opened

from llm_judge.content.content import Content, Modality, Picture, Segment, SegmentKind
from llm_judge.engines.protocol import ReadRequest, Vision
from llm_judge.engines.scripted import ScriptedEngine
from llm_judge.judge import Judge, JudgeSettings
from llm_judge.prompt import build_prompt

PLANTS = make_policy("garden/plants", (make_rule("R1"),))
ANSWER = {"evidence": [2], "exemption": "none", "severity": 1, "rationale": "x", "verdict": "violates"}


def video(frames: int, lines: int = 0) -> Content:
    """Frames a second apart, each with its picture, then lines read in them."""
    shown = [
        Segment(n, SegmentKind.FRAME, f"frame at {n - 1}.0 s", start_s=n - 1.0, end_s=float(n), frame=n * 25)
        for n in range(1, frames + 1)
    ]
    read = [
        Segment(frames + n, SegmentKind.OCR, f"line {n} of twelve words " + "more " * 8)
        for n in range(1, lines + 1)
    ]
    pictures = tuple(Picture(segment.id, bytes([segment.id])) for segment in shown)
    return make_content(modality=Modality.VIDEO, segments=(*shown, *read), pictures=pictures)


def judged(content: Content, vision: Vision, **settings: Any) -> tuple[Any, list[ReadRequest]]:
    """The record, and every request that the engine was asked."""
    asked: list[ReadRequest] = []

    class Watched(ScriptedEngine):
        def read(self, requests: Any) -> Any:
            asked.extend(requests)
            return ScriptedEngine.read(self, requests)

    plain = opened(("R1", "frame", {"yes": 0.95, "no": 0.05}), completions=[("frame", ANSWER)])
    engine = Watched(reads=plain.reads, completions=plain.completions, vision=vision)
    judge = Judge(compiled(PLANTS), engine, JudgeSettings(thresholds=BANDS, **settings))
    return judge.judge(content), asked


def test_a_frame_is_shown_with_its_number_and_can_be_cited() -> None:
    record, asked = judged(video(3), Vision(8, 640, 500))
    assert [picture.segment for picture in asked[0].prompt.pictures] == [1, 2, 3]
    assert "[2] shown: frame at 1.0 s" in asked[0].prompt.body
    (evidence,) = record.verdicts[0].evidence
    assert (evidence.kind, evidence.frame, evidence.start_s, evidence.end_s) == ("frame", 50, 1.0, 2.0)


def test_pictures_have_room_of_their_own_beside_the_text() -> None:
    _, asked = judged(video(4, lines=3), Vision(8, 640, 900), window_tokens=200)
    assert len({request.prompt.body for request in asked}) == 1


def test_what_does_not_fit_the_context_is_shown_in_windows() -> None:
    _, asked = judged(video(8), Vision(8, 640, 2000))
    shown = [tuple(p.segment for p in request.prompt.pictures) for request in asked]
    assert len(set(shown)) > 1 and {number for window in shown for number in window} == set(range(1, 9))
    assert all(len(window) * 2000 < 8192 for window in shown)


def test_a_window_holds_the_pictures_of_its_own_segments() -> None:
    content = video(3)
    part = make_content(modality=Modality.VIDEO, segments=content.segments[1:], pictures=content.pictures)
    prompt = build_prompt(compiled(PLANTS), part, ())
    assert [picture.segment for picture in prompt.pictures] == [2, 3]
