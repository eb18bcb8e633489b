import numpy as np
import pytest
from scipy.signal import fftconvolve

from data_prep.features.gabor import ANGLES, WAVELENGTHS, gabor, width

IMAGES = np.random.default_rng(0).normal(size=(4, 9, 9))


def wave(wavelength: int, edge: int = 48) -> np.ndarray:
    """A cosine along the first axis that a reflection about the borders continues."""
    line = np.cos(2 * np.pi / wavelength * (np.arange(edge) + 0.5))
    return np.repeat(line[:, None], edge, axis=1)[None]


@pytest.mark.parametrize("wavelength", WAVELENGTHS)
def test_a_wave_gives_what_the_filters_let_through(wavelength):
    found = gabor(wave(wavelength))
    for tuned in WAVELENGTHS:
        # Half the amplitude times the Gaussian's Fourier transform at the distance between the frequencies.
        apart = 1 / tuned - 1 / wavelength
        passed = 0.5 * np.exp(-0.5 * (2 * np.pi * apart * width(1 / tuned)) ** 2)
        assert found[f"gabor_{tuned}px_0_mean"][0] == pytest.approx(passed, abs=1e-3)
    assert found[f"gabor_{wavelength}px_0_sd"][0] < 1e-3
    assert max(found, key=lambda name: found[name][0]) == f"gabor_{wavelength}px_0_mean"


def test_features_equal_those_of_the_kernels_of_scikit_image():
    filters = pytest.importorskip("skimage.filters", reason="scikit-image is the second implementation")
    found = gabor(IMAGES)
    for wavelength in WAVELENGTHS:
        for angle in ANGLES:
            # Its angle starts from the second axis.
            kernel = filters.gabor_kernel(1 / wavelength, np.deg2rad(angle), n_stds=9).T
            name = f"gabor_{wavelength}px_{angle}"
            for row, image in enumerate(IMAGES):
                magnitude = np.abs(reflected_convolution(image - image.mean(), kernel))
                assert found[f"{name}_mean"][row] == pytest.approx(magnitude.mean(), abs=1e-7)
                assert found[f"{name}_sd"][row] == pytest.approx(magnitude.std(), abs=1e-7)


def reflected_convolution(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """By hand, as `scipy.ndimage` reads beyond images much smaller than the kernel."""
    x, y = (edge // 2 for edge in kernel.shape)
    return fftconvolve(np.pad(image, ((x, x), (y, y)), mode="symmetric"), kernel, mode="valid")


@pytest.mark.parametrize("edge", [3, 5, 33])
def test_any_patch_size_works(edge):
    found = gabor(np.random.default_rng(0).normal(size=(2, edge, edge)))
    assert len(found) == 2 * len(WAVELENGTHS) * len(ANGLES)
    assert all((values > 0).all() for values in found.values())


def test_a_quarter_turn_turns_the_angles():
    turned, plain = gabor(np.rot90(IMAGES, axes=(1, 2))), gabor(IMAGES)
    for one, other in ((0, 90), (45, 135), (90, 0), (135, 45)):
        for wavelength in WAVELENGTHS:
            name, quarter = (f"gabor_{wavelength}px_{angle}_mean" for angle in (one, other))
            assert turned[quarter] == pytest.approx(plain[name])


def test_brightness_does_not_matter_and_contrast_scales():
    before, after = gabor(IMAGES), gabor(2 * IMAGES + 5)
    for name, values in before.items():
        assert after[name] == pytest.approx(2 * values), name


def test_a_constant_patch_has_no_energy():
    assert all(values[0] == pytest.approx(0, abs=1e-12) for values in gabor(np.full((1, 5, 5), 0.1)).values())
