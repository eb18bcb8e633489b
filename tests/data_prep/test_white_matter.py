import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import gaussian_kde

from data_prep.phantom.contrast import LEVELS, TISSUES, contrast_images
from data_prep.phantom.head import draw_pose, make_head
from data_prep.phantom.scanners import draw_scanners
from data_prep.phantom.spec import SEQUENCES, PhantomSpec
from data_prep.white_matter import white_matter

# Shares, means and standard deviations of fluid, grey and white matter.
T1_LIKE = ((0.15, 180.0, 40.0), (0.45, 370.0, 35.0), (0.40, 480.0, 22.0))
T2_LIKE = ((0.15, 220.0, 30.0), (0.35, 110.0, 12.0), (0.50, 75.0, 8.0))
FLAIR_LIKE = ((0.10, 40.0, 10.0), (0.40, 150.0, 16.0), (0.44, 130.0, 14.0), (0.06, 260.0, 30.0))
CONTRASTS = {"T1": (T1_LIKE, 480.0), "T2": (T2_LIKE, 75.0), "FLAIR": (FLAIR_LIKE, 140.0)}


def brain(tissues, count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(mean, sd, round(count * share)) for share, mean, sd in tissues])


@pytest.mark.parametrize("count", [3000, 300_000])
@pytest.mark.parametrize("contrast", CONTRASTS)
def test_the_peak_of_white_matter_is_found_in_each_contrast(contrast, count):
    tissues, level = CONTRASTS[contrast]
    found = white_matter(brain(tissues, count))
    assert found.location == pytest.approx(level, abs=tissues[-1][2] / 2 if contrast != "FLAIR" else 8)


@pytest.mark.parametrize("contrast", CONTRASTS)
def test_peak_and_stripe_equal_those_of_a_slow_kernel_density(contrast):
    values = brain(CONTRASTS[contrast][0], 4000)
    spread = min(values.std(), np.subtract(*np.percentile(values, [75, 25])) / 1.34)
    density = gaussian_kde(values, 0.9 * spread * len(values) ** -0.2 / values.std(ddof=1))
    grid = np.linspace(*np.percentile(values, [1, 99]), 4000)
    height = density(grid)
    modes = [k for k in range(1, 3999) if height[k - 1] < height[k] >= height[k + 1]]
    modes = [k for k in modes if height[k] >= 0.2 * height.max()]
    chosen = modes[-1] if contrast == "T1" else max(modes, key=lambda k: height[k])
    rank = (values <= grid[chosen]).mean()
    stripe = values[np.abs(values.argsort().argsort() / len(values) - rank) <= 0.05]
    found = white_matter(values.copy())
    assert found.location == pytest.approx(stripe.mean(), abs=0.02 * values.std())
    assert found.spread == pytest.approx(stripe.std() / 0.0725, rel=0.1)


def slow_peak(values: np.ndarray) -> float:
    """The brightest mode by the rule of docs/normalisation.md, from sums over all values at every place."""
    spread = min(values.std(), np.subtract(*np.percentile(values, [75, 25])) / 1.34)
    places = np.linspace(*np.percentile(values, [1, 99]), 2000)
    kernel = np.exp(-0.5 * ((places[:, None] - values) / (0.9 * spread * len(values) ** -0.2)) ** 2)
    height, variance = kernel.sum(axis=1), (kernel**2).sum(axis=1)
    brightest = 0
    for peak in range(1, len(places) - 1):
        if not height[peak - 1] < height[peak] >= height[peak + 1] or height[peak] < 0.2 * height.max():
            continue
        valleys = []
        for side in (np.arange(peak - 1, -1, -1), np.arange(peak + 1, len(places))):
            higher = np.flatnonzero(height[side] > height[peak])
            until = side[: higher[0]] if len(higher) else side
            valleys.append(until[height[until].argmin()])
        valley = max(valleys, key=lambda place: height[place])
        if height[peak] - height[valley] > 3 * np.sqrt(variance[peak] + variance[valley]):
            brightest = peak
    return float(places[brightest])


# Without standard errors, a bump 22 to 42 units brighter would be taken for white matter.
@pytest.mark.parametrize("seed", [30, 48, 94, 118, 136])
def test_a_bump_that_chance_can_make_is_no_mode_of_a_small_brain(seed):
    values = 500 - np.random.default_rng(seed).gamma(2.0, 40.0, 300)
    rank = (values <= slow_peak(values)).mean()
    stripe = values[np.abs(values.argsort().argsort() / len(values) - rank) <= 0.05]
    assert white_matter(values).location == pytest.approx(stripe.mean(), abs=5)


@pytest.mark.parametrize(("count", "is_enough"), [(150, False), (250, True)])
def test_a_stripe_of_fewer_than_20_values_has_no_spread(count, is_enough):
    """It holds a tenth of them."""
    values = np.random.default_rng(0).normal(70.0, 9.0, count)
    assert (white_matter(values).spread > 0) is is_enough


def test_units_of_a_normal_distribution_are_its_standard_deviations():
    found = white_matter(np.random.default_rng(0).normal(70.0, 9.0, 400_000))
    assert (found.location, found.spread) == pytest.approx((70.0, 9.0), rel=0.02)


@settings(max_examples=40)
@given(st.sampled_from(sorted(CONTRASTS)), st.floats(1e-3, 1e3), st.floats(-1e4, 1e4), st.integers(0, 99))
def test_gain_and_offset_of_a_scanner_go(contrast, gain, offset, seed):
    values = brain(CONTRASTS[contrast][0], 3000, seed)
    before, after = white_matter(values.copy()), white_matter(gain * values + offset)
    one, other = (values - before.location) / before.spread, gain * values + offset - after.location
    assert other / after.spread == pytest.approx(one, abs=1e-3)


@pytest.mark.parametrize("tissues", [T1_LIKE, FLAIR_LIKE], ids=["T1", "FLAIR"])
@pytest.mark.parametrize("step", [0.1, 5.0, 12.0])
def test_coarsely_stored_intensities_have_no_peaks_of_their_own(step, tissues):
    values = brain(tissues, 100_000)
    found = white_matter(np.round(values / step) * step)
    assert found.location == pytest.approx(white_matter(values).location, abs=8)


def test_a_lesion_does_not_pass_for_white_matter():
    for contrast, level in (("T1", 600.0), ("T2", 160.0), ("FLAIR", 330.0)):
        tissues, expected = CONTRASTS[contrast]
        # A twentieth of the brain: its mode is far lower than a fifth of the highest.
        values = brain((*tissues, (0.05, level, 40.0)), 100_000)
        assert white_matter(values).location == pytest.approx(expected, abs=10)


@pytest.fixture(scope="module")
def hard_tissues() -> np.ndarray:
    """The phantom's head with a tissue a voxel, shape (8, n, n, n): in its own, most voxels are mixtures."""
    head = make_head(64, draw_pose(np.random.default_rng(0)), np.zeros(3))
    parts = np.stack([head.scalp, head.skull, head.csf, head.gm, head.wm])
    winner = np.where(parts.sum(axis=0) > 0.5, parts.argmax(axis=0), -1)
    return np.stack([winner == index for index in range(len(TISSUES))]).astype(np.float32)


@pytest.mark.parametrize(
    ("sequence", "tissue"), [("T1", "wm"), ("T1Gd", "wm"), ("T2", "gm"), ("FLAIR", "gm")]
)
def test_a_tissue_of_the_phantom_has_one_value_on_every_scanner(hard_tissues, sequence, tissue):
    """White matter where fluid is dark, else the highest mode: here there is twice as much grey matter."""
    column, rng = SEQUENCES.index(sequence), np.random.default_rng(1)
    inside = hard_tissues[2:5].any(axis=0)
    clean = contrast_images(hard_tissues)[column][inside]
    levels = dict(zip(TISSUES, LEVELS[sequence], strict=True))
    seen = []
    for scanner in draw_scanners(PhantomSpec()):
        gain, offset = scanner.gain[column], scanner.offset[column]
        found = white_matter(gain * (clean + 0.4 * rng.normal(size=clean.shape)) + offset)
        level = {name: gain * levels[name] + offset for name in ("csf", "gm", "wm")}
        seen.append({name: (value - found.location) / found.spread for name, value in level.items()})
    for name in ("gm", "wm"):
        assert np.ptp([values[name] for values in seen]) < 0.1
    # Fluid is some four units away.
    assert np.ptp([values["csf"] for values in seen]) < 0.2
    assert np.mean([values[tissue] for values in seen]) == pytest.approx(0.0, abs=0.15)


@pytest.mark.parametrize(
    ("sequence", "level", "sd"),
    # Median and standard deviation of the brightest of three Gaussians in T1, 8 mm and more from the tumour.
    [("T1", 449, 30), ("T1Gd", 486, 52), ("T2", 77, 14), ("FLAIR", 141, 24)],
)
def test_white_matter_of_a_real_glioma_is_found_within_its_standard_deviation(
    shared_cohort, sequence, level, sd
):
    path = shared_cohort("glioma_mr_case") / "sub-01" / f"{sequence}.nii.gz"
    data = np.asarray(nib.load(path).dataobj, dtype=np.float32)
    found = white_matter(data[data != 0])
    assert found.location == pytest.approx(level, abs=sd)
    assert data[data != 0].std() / found.spread == pytest.approx(1.2, abs=0.7)


@pytest.mark.parametrize("values", [[], [3.0], [1.0] * 50, [0.0] * 50 + [9.0]])
def test_where_there_is_no_stripe_there_is_no_spread(values):
    assert white_matter(np.array(values, dtype=np.float32)).spread == 0.0
