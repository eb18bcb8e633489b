import numpy as np
import pytest

from data_prep.features.glcm import cooccurrence, glcm, haralick
from data_prep.features.levels import LEVELS

IMAGES = np.random.default_rng(0).integers(3, 12, (6, 9, 9))

# Haralick 1973, figure 3: an image and its matrices at distance 1, in the order of `cooccurrence`.
PUBLISHED = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [0, 2, 2, 2], [2, 2, 3, 3]])
COUNTS = [
    [[4, 2, 1, 0], [2, 4, 0, 0], [1, 0, 6, 1], [0, 0, 1, 2]],
    [[2, 1, 3, 0], [1, 2, 1, 0], [3, 1, 0, 2], [0, 0, 2, 0]],
    [[6, 0, 2, 0], [0, 4, 2, 0], [2, 2, 2, 2], [0, 0, 2, 0]],
    [[4, 1, 0, 0], [1, 2, 2, 0], [0, 2, 4, 1], [0, 0, 1, 0]],
]


def by_definition(p: np.ndarray) -> dict[str, float]:
    """The features of one matrix as IBSI writes them, sum by sum."""
    n = len(p)
    pairs = [(i, j, p[i - 1, j - 1]) for i in range(1, n + 1) for j in range(1, n + 1)]
    row, column = p.sum(axis=1), p.sum(axis=0)
    minus = [sum(q for i, j, q in pairs if abs(i - j) == k) for k in range(n)]
    plus = {k: sum(q for i, j, q in pairs if i + j == k) for k in range(2, 2 * n + 1)}
    mean = sum(i * q for i, j, q in pairs)
    variance = sum((i - mean) ** 2 * q for i, j, q in pairs)
    gap = sum(k * q for k, q in enumerate(minus))

    def entropy(shares) -> float:
        return -sum(q * np.log2(q) for q in shares if q > 0)

    product = {(i, j): row[i - 1] * column[j - 1] for i, j, _ in pairs}
    hxy = entropy(p.ravel())
    hxy1 = -sum(q * np.log2(product[i, j]) for i, j, q in pairs if q > 0)
    return {
        "asm": sum(q**2 for *_, q in pairs),
        "contrast": sum((i - j) ** 2 * q for i, j, q in pairs),
        "dissimilarity": gap,
        "homogeneity": sum(q / (1 + (i - j) ** 2) for i, j, q in pairs),
        "correlation": (sum(i * j * q for i, j, q in pairs) - mean**2) / variance,
        "variance": variance,
        "sum_average": sum(k * q for k, q in plus.items()),
        "sum_variance": sum((k - 2 * mean) ** 2 * q for k, q in plus.items()),
        "cluster_shade": sum((i + j - 2 * mean) ** 3 * q for i, j, q in pairs),
        "cluster_prominence": sum((i + j - 2 * mean) ** 4 * q for i, j, q in pairs),
        "sum_entropy": entropy(plus.values()),
        "difference_variance": sum((k - gap) ** 2 * q for k, q in enumerate(minus)),
        "difference_entropy": entropy(minus),
        "entropy": hxy,
        "information_1": (hxy - hxy1) / max(entropy(row), entropy(column)),
        "information_2": np.sqrt(1 - np.exp(-2 * (entropy(product.values()) - hxy))),
    }


def test_matrices_equal_the_published_ones():
    expected = [np.array(counts) / np.sum(counts) for counts in COUNTS]
    assert cooccurrence(PUBLISHED[None], 4)[0] == pytest.approx(np.array(expected))


def test_features_equal_their_definitions():
    matrices = cooccurrence(IMAGES, LEVELS)
    found = haralick(matrices)
    for image, direction in np.ndindex(matrices.shape[:2]):
        expected = by_definition(matrices[image, direction])
        assert {name: values[image, direction] for name, values in found.items()} == pytest.approx(expected)


def test_features_equal_those_of_scikit_image():
    feature = pytest.importorskip("skimage.feature", reason="scikit-image is the second implementation")
    found = glcm(IMAGES)
    theirs = {"contrast", "dissimilarity", "homogeneity", "ASM", "correlation", "variance", "entropy"}
    for row, image in enumerate(IMAGES):
        angles = [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4]
        matrix = feature.graycomatrix(
            image.astype(np.uint8), [1], angles, LEVELS, symmetric=True, normed=True
        )
        for name in theirs - {"entropy"}:
            expected = feature.graycoprops(matrix, name).mean()
            assert found[name.lower()][row] == pytest.approx(expected), name
        bits = feature.graycoprops(matrix, "entropy").mean() / np.log(2)
        assert found["entropy"][row] == pytest.approx(bits)


def test_a_checkerboard_has_the_closed_form():
    board = 4 + 3 * (np.indices((8, 8)).sum(axis=0) % 2)
    matrices = cooccurrence(board[None], LEVELS)
    across = {name: values[0, 0] for name, values in haralick(matrices).items()}
    # Side by side the levels always differ by 3: i = 5 and 8, counted from 1.
    assert (across["contrast"], across["dissimilarity"], across["homogeneity"]) == pytest.approx((9, 3, 0.1))
    assert (across["correlation"], across["entropy"], across["asm"]) == pytest.approx((-1, 1, 0.5))
    assert (across["sum_average"], across["sum_variance"]) == pytest.approx((13, 0))
    assert across["information_1"] == pytest.approx(-1)
    # Diagonal neighbours are equal, so half of the mean over directions is left.
    assert glcm(board[None])["contrast"] == pytest.approx(4.5)


@pytest.mark.parametrize("level", [0, 7, 15])
def test_a_constant_patch_has_finite_features(level):
    found = {name: values[0] for name, values in glcm(np.full((1, 5, 5), level)).items()}
    ones = {"asm", "homogeneity", "correlation"}
    assert found.pop("sum_average") == 2 * (level + 1)
    assert found == {name: float(name in ones) for name in found}


def test_independent_neighbours_carry_no_information():
    found = haralick(np.full((1, 4, 4), 1 / 16))
    assert found["information_1"] == pytest.approx(0, abs=1e-12)
    assert found["information_2"] == pytest.approx(0, abs=1e-6)
    assert found["correlation"] == pytest.approx(0)


@pytest.mark.parametrize(
    "turn", [lambda x: np.rot90(x, axes=(1, 2)), lambda x: x[:, ::-1], lambda x: x[:, :, ::-1]]
)
def test_turns_and_flips_leave_the_features_alone(turn):
    turned = glcm(turn(IMAGES))
    for name, values in glcm(IMAGES).items():
        assert turned[name] == pytest.approx(values), name


def test_brighter_images_keep_all_but_their_mean_level():
    shifted, plain = glcm(IMAGES + 3), glcm(IMAGES)
    assert shifted.pop("sum_average") == pytest.approx(plain.pop("sum_average") + 6)
    for name, values in plain.items():
        assert shifted[name] == pytest.approx(values), name


def test_images_do_not_see_each_other():
    together = glcm(IMAGES)
    for row in range(len(IMAGES)):
        alone = glcm(IMAGES[row : row + 1])
        assert all(alone[name][0] == values[row] for name, values in together.items())
