"""The only place that joins the steps: contents in, decision records out.

1. Each content is cut into windows that fit the model; each window becomes a prompt.
2. *Areas*: one read asks every area about a window; an area that is clearly clear closes its rules.
3. *Rules*: one read asks the rules of the open areas; probabilities become verdicts.
4. The worst window speaks for the content, rule by rule.
5. *Exemptions*: a rule that is exempt and has several exemptions is asked which one applies.
6. *Explain*: constrained JSON for rules that fire, are exempt or uncertain, or on request.
7. Plain code turns the verdicts into a decision, and all of it into a record.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from llm_judge.calibration import Calibration, identity_of
from llm_judge.compile import CompiledArea, CompiledPolicy, CompiledRule
from llm_judge.content.content import Content, Segment, SegmentKind
from llm_judge.content.normalise import neutralise
from llm_judge.content.windows import windows
from llm_judge.decision import decide, threshold_gaps
from llm_judge.engines.protocol import Engine, GenerateRequest, ReadRequest
from llm_judge.errors import ContentError, JudgeError
from llm_judge.policy.model import Action, OnError
from llm_judge.prompt import Prompt, build_prompt, segment_line
from llm_judge.record import DecisionRecord, RunIdentity, error_json, item_json, now
from llm_judge.verdict import (
    AreaAnswer,
    Outcome,
    Thresholds,
    Verdict,
    verdict_from_reading,
    verdicts_not_asked,
    with_explanation,
    worst_area,
    worst_verdict,
    yes_probability,
)

_EXPLAIN_MAX_TOKENS = 160
# Room for what is in a prompt body beside segments: fence, heading, facts; more where the facts are long.
_BODY_OVERHEAD_TOKENS = 64
_CLEANING_FACTS_TOKENS = 32
_CAPTION_TOKENS = 16  # around a picture


class Explain(StrEnum):
    """When a verdict is explained."""

    NEVER = "never"
    AUTO = "auto"  # rules that fire, are exempt or uncertain
    ALWAYS = "always"  # every rule that was asked


@dataclass(frozen=True, slots=True)
class JudgeSettings:
    """How a judge works.

    Attributes:
        thresholds: where probabilities turn into outcomes, for rules without a calibrated band.
        explain: when verdicts are explained.
        explain_at_most: explanations per item, worst verdicts first; others are marked ``skipped``.
        window_tokens: longest window of content, in tokens; longer content is judged in windows.
        calibration: what ladders and bands of rules compare with; None for stand-ins.
    """

    thresholds: Thresholds = field(default_factory=Thresholds)
    explain: Explain = Explain.AUTO
    explain_at_most: int = 3
    window_tokens: int = 512
    calibration: Calibration | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of what can change a decision; explaining more or less does not."""
        calibration = None if self.calibration is None else self.calibration.digest
        meaning = [asdict(self.thresholds), calibration, self.window_tokens]
        return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()


@dataclass(slots=True)
class _Window:
    """One prompt's worth of one content, and what has been read about it."""

    item: int
    content: Content
    prompt: Prompt
    areas: tuple[CompiledArea, ...] = ()
    open_rules: tuple[CompiledRule, ...] = ()
    answers: dict[str, AreaAnswer] = field(default_factory=dict)
    verdicts: dict[str, Verdict] = field(default_factory=dict)


@dataclass(slots=True)
class _Stopwatch:
    """Milliseconds by stage."""

    spent: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.spent[name] = self.spent.get(name, 0.0) + (time.perf_counter() - started) * 1000


class Judge:
    """Judges contents by compiled policies with one engine.

    Attributes:
        gaps: thresholds that ladders name and the calibration does not give; a reason to warn, none to stop.

    Raises:
        UsageError: an action ladder names a threshold that no calibration knows, or the calibration was
            made for other policies, or another prompt, model or adapter.
    """

    def __init__(
        self, compiled: CompiledPolicy, engine: Engine, settings: JudgeSettings | None = None
    ) -> None:
        self.compiled = compiled
        self.engine = engine
        self.settings = settings or JudgeSettings()
        self.policies = [area.policy for area in compiled.areas]
        calibration = self.settings.calibration
        if calibration is not None:
            calibration.refuse_other(identity_of(compiled, engine.info))
        self.run = RunIdentity(
            compiled.digest,
            compiled.prompt_digest,
            self.settings.digest,
            engine.info,
            None if calibration is None else calibration.digest,
        )
        self.gaps = threshold_gaps(self.policies, calibration)
        self._rules = {rule.key: rule for rule in compiled.rules}
        self._thresholds = {key: self._thresholds_of(key) for key in self._rules}
        self._picture_cost = engine.vision.tokens + _CAPTION_TOKENS if engine.vision else 0

    def judge(self, content: Content) -> DecisionRecord:
        """Judge one content; raises ``EngineError`` when the engine cannot answer."""
        return self.judge_batch([content])[0]

    def judge_batch(
        self, contents: Sequence[Content], asked: Sequence[frozenset[str] | None] | None = None
    ) -> list[DecisionRecord]:
        """Judge several contents together, in order; the engine batches across them.

        Args:
            contents: what to judge.
            asked: for each content the policies to ask about, None for all of them. The prompt holds every
                policy all the same, so an answer does not depend on what else is asked.
        """
        only = asked or [None] * len(contents)
        watch = _Stopwatch()
        with watch.stage("prompt"):
            opened, failed = self._cut(contents, only)
        with watch.stage("areas"):
            self._read_areas(opened)
        with watch.stage("rules"):
            self._read_rules(opened)
        chosen = [self._worst([w for w in opened if w.item == i]) for i in range(len(contents))]
        with watch.stage("exemptions"):
            self._read_exemptions(chosen)
        with watch.stage("explain"):
            self._explain(chosen)
        timings = {name: spent / max(len(contents), 1) for name, spent in watch.spent.items()}
        return [
            self.error_record(content.id, failed[i], content.source)
            if i in failed
            else self.record(
                item_json(content),
                [verdict for verdict, _ in chosen[i].values()],
                self._worst_areas([w for w in opened if w.item == i]),
                timings,
                only[i],
            )
            for i, content in enumerate(contents)
        ]

    def read_areas(
        self, contents: Sequence[Content], asked: Sequence[frozenset[str] | None] | None = None
    ) -> list[tuple[AreaAnswer, ...] | ContentError]:
        """Ask the areas only: enough to rank contents, and no decision, since no rule is asked.

        Args:
            contents, asked: as for ``judge_batch``.

        Returns:
            For each content the worst answer about each area, or why it cannot be read.
        """
        opened, failed = self._cut(contents, asked or [None] * len(contents))
        self._read_areas(opened)
        return [
            failed[i] if i in failed else self._worst_areas([w for w in opened if w.item == i])
            for i in range(len(contents))
        ]

    def error_record(self, item_id: str, error: JudgeError, source: str | None = None) -> DecisionRecord:
        """The record of an item that could not be judged: never ``allow`` unless a policy says so."""
        action = max((_on_error(p.on_error) for p in self.policies), key=lambda a: a.strictness)
        return DecisionRecord(
            decision_id=self._decision_id(item_id, ""),
            created_at=now(),
            item={"id": item_id, "source": source},
            action=action,
            decision=None,
            verdicts=(),
            policies=self._versions(),
            run=self.run,
            timings_ms={},
            error=error_json(error),
        )

    def _cut(
        self, contents: Sequence[Content], asked: Sequence[frozenset[str] | None]
    ) -> tuple[list[_Window], dict[int, ContentError]]:
        """Cut every content into windows; contents that cannot be cut are told apart by their place."""
        opened: list[_Window] = []
        failed: dict[int, ContentError] = {}
        for i, content in enumerate(contents):
            try:
                opened += self._windows(i, content, asked[i])
            except ContentError as error:
                failed[i] = error
        return opened, failed

    def _thresholds_of(self, rule: str) -> Thresholds:
        """The settings, with the band that was calibrated for the rule, where one was."""
        calibration = self.settings.calibration
        band = None if calibration is None else calibration.band(rule)
        if band is None:
            return self.settings.thresholds
        return replace(self.settings.thresholds, fires_at=band.fires_at, clear_below=band.clear_below)

    def _windows(self, item: int, content: Content, asked: frozenset[str] | None) -> list[_Window]:
        special = self.engine.special_tokens
        bare = self.engine.count_tokens(
            build_prompt(self.compiled, replace(content, segments=()), special).body
        )
        overhead = max(_BODY_OVERHEAD_TOKENS, bare + _CLEANING_FACTS_TOKENS)
        wanted = self.settings.window_tokens + len(content.pictures) * self._picture_cost
        room = min(wanted, self.compiled.content_budget) - overhead
        areas = tuple(
            area
            for area in self.compiled.areas
            if (asked is None or area.policy.policy in asked)
            and any(r.applies_to(content.modality) for r in area.rules)
        )
        return [
            _Window(item, part, build_prompt(self.compiled, part, special), areas)
            for part in windows(content, room, self._cost)
        ]

    def _cost(self, segment: Segment) -> int:
        text = neutralise(segment.text, self.engine.special_tokens)
        shown = self._picture_cost if segment.kind is SegmentKind.FRAME else 0
        return self.engine.count_tokens(segment_line(segment, text)) + 1 + shown

    def _read_areas(self, opened: Sequence[_Window]) -> None:
        asked = [w for w in opened if w.areas]
        requests = [ReadRequest(w.prompt, tuple(area.question for area in w.areas)) for w in asked]
        for window, readings in zip(asked, self.engine.read(requests), strict=True):
            for area, reading in zip(window.areas, readings, strict=True):
                rules = [r for r in area.rules if r.applies_to(window.content.modality)]
                name = area.policy.policy
                probability = yes_probability(reading)
                closed = self._clearly_clear(probability, reading.label_mass)
                window.answers[name] = AreaAnswer(name, probability, reading.label_mass, not closed)
                if closed:
                    window.verdicts.update(
                        {v.rule: v for v in verdicts_not_asked(rules, probability, reading.label_mass)}
                    )
                else:
                    window.open_rules += tuple(rules)

    def _clearly_clear(self, probability: float | None, label_mass: float) -> bool:
        followed = label_mass >= self.settings.thresholds.min_label_mass
        return probability is not None and followed and probability < self.settings.thresholds.area_gate

    def _read_rules(self, opened: Sequence[_Window]) -> None:
        asked = [w for w in opened if w.open_rules]
        requests = [ReadRequest(w.prompt, tuple(rule.question for rule in w.open_rules)) for w in asked]
        for window, readings in zip(asked, self.engine.read(requests), strict=True):
            for rule, reading in zip(window.open_rules, readings, strict=True):
                window.verdicts[rule.key] = verdict_from_reading(rule, reading, self._thresholds[rule.key])

    def _worst(self, parts: Sequence[_Window]) -> dict[str, tuple[Verdict, _Window]]:
        """The worst window's verdict of each rule, in policy order, and that window."""
        chosen = {}
        for key in self._rules:
            found = [(w.verdicts[key], w) for w in parts if key in w.verdicts]
            if found:
                chosen[key] = found[worst_verdict([verdict for verdict, _ in found])]
        return chosen

    def _worst_areas(self, parts: Sequence[_Window]) -> tuple[AreaAnswer, ...]:
        names = [area.policy.policy for area in self.compiled.areas]
        found = [[w.answers[name] for w in parts if name in w.answers] for name in names]
        return tuple(worst_area(answers) for answers in found if answers)

    def _read_exemptions(self, chosen: Sequence[dict[str, tuple[Verdict, _Window]]]) -> None:
        unknown = [
            (pairs, key)
            for pairs in chosen
            for key, (verdict, _) in pairs.items()
            if verdict.outcome is Outcome.EXEMPT and verdict.exemption is None
        ]
        requests = [
            ReadRequest(pairs[key][1].prompt, self._rules[key].exemption_questions) for pairs, key in unknown
        ]
        for (pairs, key), readings in zip(unknown, self.engine.read(requests), strict=True):
            verdict, window = pairs[key]
            exemptions = self._rules[key].rule.exemptions
            scores = [yes_probability(reading) or 0.0 for reading in readings]
            best = exemptions[scores.index(max(scores))].id
            pairs[key] = (replace(verdict, exemption=best), window)

    def _explain(self, chosen: Sequence[dict[str, tuple[Verdict, _Window]]]) -> None:
        wanted = [(i, key) for i, pairs in enumerate(chosen) for key in self._to_explain(pairs)]
        requests = []
        for i, key in wanted:
            _, window = chosen[i][key]
            schema = self._rules[key].schema([segment.id for segment in window.content.segments])
            requests.append(
                GenerateRequest(window.prompt, self._rules[key].explain, schema, _EXPLAIN_MAX_TOKENS)
            )
        for (i, key), completion in zip(wanted, self.engine.generate(requests), strict=True):
            verdict, window = chosen[i][key]
            chosen[i][key] = (with_explanation(verdict, completion, window.content), window)

    def _to_explain(self, pairs: dict[str, tuple[Verdict, _Window]]) -> list[str]:
        mode = self.settings.explain
        if mode is Explain.NEVER:
            return []
        keys = [k for k, (v, _) in pairs.items() if (mode is Explain.ALWAYS and v.asked) or self._open(v)]
        keys.sort(key=lambda k: (pairs[k][0].outcome.rank, -(pairs[k][0].probability or 0.0)))
        for key in keys[self.settings.explain_at_most :]:
            verdict, window = pairs[key]
            pairs[key] = (replace(verdict, explanation="skipped"), window)
        return keys[: self.settings.explain_at_most]

    def _open(self, verdict: Verdict) -> bool:
        """Whether people will want reasons: not where the model did not follow the answer format."""
        followed = verdict.label_mass >= self.settings.thresholds.min_label_mass
        return verdict.asked and followed and verdict.outcome is not Outcome.CLEAR

    def record(
        self,
        item: Mapping[str, Any],
        verdicts: Sequence[Verdict],
        areas: tuple[AreaAnswer, ...],
        timings: Mapping[str, float],
        asked: frozenset[str] | None,
    ) -> DecisionRecord:
        """Decide on answers that are there; nothing is asked.

        Args:
            item: what the record says of the content, with its ``id`` and ``sha256`` at least.
            verdicts, areas: in policy order.
            timings: milliseconds by stage.
            asked: policies that were asked, None for all of them.
        """
        decision = decide(verdicts, self.policies, self.settings.calibration)
        return DecisionRecord(
            decision_id=self._decision_id(item["id"], item["sha256"], asked),
            created_at=now(),
            item=item,
            action=decision.action,
            decision=decision,
            verdicts=tuple(verdicts),
            policies=self._versions(),
            run=self.run,
            timings_ms=timings,
            areas=areas,
        )

    def _versions(self) -> dict[str, str]:
        return {policy.policy: policy.version_in_force for policy in self.policies}

    def _decision_id(self, item_id: str, sha256: str, asked: frozenset[str] | None = None) -> str:
        run = "\x00".join(str(value) for value in self.run.as_json().values())
        text = "\x00".join((item_id, sha256, run, *sorted(asked or ())))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def _on_error(on_error: OnError) -> Action:
    return Action(on_error.value)
