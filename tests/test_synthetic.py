"""Synthetic images, their range, and that a conversion says so."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from snnc.data.synthetic import synthetic, synthetic_seed
from snnc.diagnostics import DiagnosticError
from snnc.integers.calibration_split import calibration_split, with_held_back
from snnc.integers.input_range import range_of_input


def test_images_depend_on_seed_and_place_alone() -> None:
    few, many = synthetic((3, 8, 8), 3, (-1.0, 1.0), 7).images, synthetic((3, 8, 8), 9, (-1.0, 1.0), 7).images
    assert few.dtype == np.float32
    assert np.array_equal(few, many[:3])
    assert not np.array_equal(few[0], few[1])
    assert not np.array_equal(few, synthetic((3, 8, 8), 3, (-1.0, 1.0), 8).images)


@pytest.mark.parametrize("limits", [(-2.0, 2.0), (0.0, 255.0), (0.25, 0.5)])
def test_values_fill_the_range(limits: tuple[float, float]) -> None:
    images = synthetic((3, 32, 32), 8, limits, 0).images
    low, high = limits
    assert images.min() == np.float32(low)
    assert images.max() == np.float32(high)
    assert images.mean() == pytest.approx((low + high) / 2, abs=0.05 * (high - low))
    assert images.std() == pytest.approx((high - low) / 4, rel=0.1)


@pytest.mark.parametrize(("shape", "channel"), [((3, 32, 32), 1), ((32, 32, 3), 3), ((3, 64), 1), ((2, 8, 8, 8), 1)])
def test_images_are_smooth_along_the_plane(shape: tuple[int, ...], channel: int) -> None:
    images = synthetic(shape, 16, (-2.0, 2.0), 0).images
    for axis in range(1, images.ndim):
        steps = np.diff(images, axis=axis).std() / images.std()
        assert steps < 0.9 if axis != channel else steps > 1.1, axis


@pytest.mark.parametrize("shape", [(1,), (10,), (1, 1), (5, 1, 1), (1, 28, 28)])
def test_any_input_has_images(shape: tuple[int, ...]) -> None:
    images = synthetic(shape, 4, (-1.0, 1.0), 0).images
    assert images.shape == (4, *shape)
    assert np.isfinite(images).all()
    assert np.abs(images).max() > 0


def test_the_seed_is_read_from_the_name() -> None:
    assert [synthetic_seed(spec) for spec in ("synthetic", "synthetic:12", "digits:train", None, np.zeros(3))] == [
        0, 12, None, None, None,
    ]  # fmt: skip
    for spec in ("synthetic:", "synthetic:-1", "synthetic:x", "synthetic:12345678901"):
        with pytest.raises(DiagnosticError, match="SNN301"):
            synthetic_seed(spec)


@pytest.mark.parametrize("samples", [1, 2, 8, 128, 512])
def test_a_third_is_held_back_beside_what_calibrates(samples: int) -> None:
    data = synthetic((2,), with_held_back(samples), (-1.0, 1.0), 0)
    calibration, held_back = calibration_split(data, samples)
    assert len(calibration) == samples
    assert len(held_back) == max(1, min(128, samples // 2))
    assert not {image.tobytes() for image in calibration.images} & {image.tobytes() for image in held_back.images}


def model(body: str, **metadata: str) -> onnx.ModelProto:
    parsed: onnx.ModelProto = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> net (float[N, 4] x) => (float[N, 4] y) {' + body + "}"
    )
    for key, value in metadata.items():
        parsed.metadata_props.add(key=key.replace("_", "."), value=value)
    return parsed


def test_the_range_of_the_input_is_read_from_the_model() -> None:
    def limits(*arguments: str, **metadata: str) -> tuple[float, float]:
        return range_of_input(model(*arguments, **metadata))[0]

    plain, positive = "a = Neg (x) y = Relu (a)", "a = Relu (x) y = Neg (a)"
    assert limits(plain) == (-2.0, 2.0)
    assert limits(positive) == (0.0, 1.0)
    assert limits("a = Relu (x) y = Add (a, x)") == (-2.0, 2.0)
    assert limits(plain, Image_NominalPixelRange="NominalRange_0_255") == (0.0, 255.0)
    assert limits(plain, Image_NominalPixelRange="Normalized_1_1") == (-1.0, 1.0)
    assert limits(plain, Image_NominalPixelRange="Other") == (-2.0, 2.0)
