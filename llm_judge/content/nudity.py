"""RGB pixels → a nudity score from 0 (none) to 1 (explicit), by the packaged open-nsfw model.

The score is a signal told to the judging model, never a decision. Knows nothing about files.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from llm_judge.packaged import ensure

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_THREADS = 2
_SIZE, _CROP = 256, 224
_MEAN_BGR = (104.0, 117.0, 123.0)  # of the model's training pictures


def nudity_score(pixels: NDArray[np.uint8]) -> float:
    """Return the score of a picture of shape (height, width, 3), RGB.

    The picture is squeezed to 256x256, its middle 224x224 taken, turned to BGR and centred, as the
    model was trained; the JPEG round trip of the reference is left out (under 0.01 difference).

    Raises:
        PackageError: the packaged model is missing or damaged.
    """
    import numpy as np
    from PIL import Image

    squeezed = Image.fromarray(pixels).resize((_SIZE, _SIZE), Image.Resampling.BILINEAR)
    edge = (_SIZE - _CROP) // 2
    middle = np.asarray(squeezed, dtype=np.float32)[edge : edge + _CROP, edge : edge + _CROP, ::-1]
    batch = np.ascontiguousarray(middle - np.array(_MEAN_BGR, dtype=np.float32))[np.newaxis]
    session = _session()
    scores = session.run(None, {session.get_inputs()[0].name: batch})[0]
    return float(scores[0][1])


def nudity_fact(score: float, at_s: float | None = None) -> str:
    """Return the score in the words the judging model is told."""
    moment = "" if at_s is None else f" at {at_s:.1f} s"
    return f"nudity score {score:.2f}{moment} (0 none, 1 explicit)"


@functools.cache
def _session() -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _THREADS
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    model = ensure("open-nsfw") / "open-nsfw.onnx"
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
