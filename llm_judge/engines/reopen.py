"""An engine's name, once more: whether it means another engine by now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_judge.engines.open import find_adapter, open_engine

if TYPE_CHECKING:
    from llm_judge.engines.protocol import Engine


def reopen_engine(spec: str, now: Engine) -> Engine:
    """Return ``now`` where its name still means the same adapter or script, else a new engine.

    A server behind ``vllm:`` keeps what it has loaded, so it is never opened again.

    Args:
        spec: as for ``open_engine``; ``now`` was opened by it.
        now: what answers at the moment.

    Raises:
        JudgeError: as ``open_engine`` does.
    """
    kind, _, rest = spec.partition(":")
    if kind == "local":
        from llm_judge.adapters.lora_folder import adapter_digest

        adapter = find_adapter(rest)
        digest = adapter_digest(adapter) if adapter else None
        return now if digest == now.info.adapter_digest else open_engine(spec)
    if kind == "scripted":
        found = open_engine(spec)
        same = getattr(found, "script_digest", None) == getattr(now, "script_digest", None)
        return now if same else found
    return now
