import numpy as np
import pytest

from data_prep.tumor_estimate import chosen_sequences, estimate

SHAPE = (60, 56, 40)
EDGES = np.array([1.0, 1.0, 1.5])
SITES = np.array([[20, 20, 14], [25, 24, 17]])


def ball(centre, radius: float) -> np.ndarray:
    places = np.moveaxis(np.indices(SHAPE), 0, -1) * EDGES
    return ((places - np.array(centre) * EDGES) ** 2).sum(axis=-1) <= radius**2


BRAIN, TUMOUR, OTHER = ball([30, 28, 20], 25), ball([22, 22, 15], 9), ball([42, 36, 24], 6)


def brain(bright: float, seed: int = 0) -> np.ndarray:
    """A noisy brain with a tumour, and a lesion alike where no biopsy was taken."""
    noise = np.random.default_rng(seed).normal(100, 10, SHAPE)
    return np.where(BRAIN, noise + bright * (TUMOUR | OTHER), 0).astype(np.float32)


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


@pytest.mark.parametrize(
    ("name", "bright"), [("FLAIR", 15), ("FLAIR", 60), ("T1", -15), ("FA", -60), ("MD", 15)]
)
def test_the_piece_at_the_biopsies_is_found_whichever_way_it_differs(name, bright):
    found = estimate({name: brain(bright)}, BRAIN, SITES, EDGES)
    assert dice(found, TUMOUR) > 0.85
    assert not (found & OTHER).any()
    assert not (found & ~BRAIN).any()


def test_a_sequence_that_shows_nothing_does_no_harm():
    images = {"T1": brain(-30), "FA": brain(0, 1), "MD": np.full(SHAPE, 7.0, np.float32)}
    assert dice(estimate(images, BRAIN, SITES, EDGES), TUMOUR) > 0.85


def test_a_dark_core_belongs_to_the_tumour():
    image = np.where(ball([22, 22, 15], 4), 90, brain(40)).astype(np.float32)
    found = estimate({"FLAIR": image}, BRAIN, np.array([[22, 29, 15], [15, 22, 15]]), EDGES)
    assert found[22, 22, 15]
    assert dice(found, TUMOUR) > 0.85


def test_units_do_not_matter():
    plain, scaled = (
        estimate({"T1": image}, BRAIN, SITES, EDGES) for image in (brain(-30), brain(-30) * 40 + 7)
    )
    assert dice(plain, scaled) > 0.99


@pytest.mark.parametrize("image", [brain(-40), np.ones(SHAPE, np.float32)])
def test_where_no_tumour_is_bright_there_is_none(image):
    assert not estimate({"FLAIR": image}, BRAIN, SITES, EDGES).any()


def test_biopsies_beyond_what_counts_give_none():
    assert not estimate({"FLAIR": brain(30)}, BRAIN, np.array([[0, 0, 0]]), EDGES).any()


def test_a_bright_scalp_is_no_healthy_tissue():
    head = ball([30, 28, 20], 29)
    image = np.where(head & ~ball([30, 28, 20], 26), 160, np.where(head, brain(30), 0)).astype(np.float32)
    assert dice(estimate({"FLAIR": image}, head, SITES, EDGES, is_brain=False), TUMOUR) > 0.75


@pytest.mark.parametrize(
    ("names", "chosen", "bright"),
    [
        (("T1", "T1Gd", "T2", "FLAIR"), ("T2", "FLAIR"), True),
        (("t2_flair", "T2w"), ("t2_flair", "T2w"), True),
        (("T1", "T2"), ("T1", "T2"), False),
        ((), (), False),
    ],
)
def test_flair_and_t2_count_where_there_is_a_flair(names, chosen, bright):
    assert chosen_sequences(names) == (chosen, bright)
