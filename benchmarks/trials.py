"""One trial of the ResNet50 of the report in several folds: our trainer beside stock Keras, each cold."""

from __future__ import annotations

import sys

import numpy as np
from sides import compare, measure

FOLDS, EPOCHS, SAMPLES, BATCH, RUNS = 3, 3, 120, 9, 2
SHAPE = (17, 17, 9)


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(SAMPLES, *SHAPE)).astype(np.float32), rng.integers(0, 2, SAMPLES).astype(
        np.float32
    )


def trainer() -> None:
    from models.spec import ModelSpec, OptimizerSpec, TrainingSpec
    from models.training import Samples, Trainer

    x, y = data()
    ours = Trainer()
    for seed in range(FOLDS):
        spec = TrainingSpec(epochs=EPOCHS, batch_size=BATCH, seed=seed)
        ours.fit(ModelSpec("resnet50", SHAPE), OptimizerSpec("adam", 1e-3), spec, Samples(x, y), None)


def stock() -> None:
    import keras

    x, y = data()
    for seed in range(FOLDS):
        keras.utils.set_random_seed(seed)
        tensor = keras.Input(SHAPE)
        base = keras.applications.ResNet50(
            include_top=False, weights=None, input_tensor=tensor, pooling="avg"
        )
        hidden = keras.layers.Dense(256, activation="relu")(base.output)
        hidden = keras.layers.Dense(128, activation="relu")(hidden)
        model = keras.Model(tensor, keras.layers.Dense(1, activation="sigmoid")(hidden))
        model.compile(optimizer=keras.optimizers.Adam(1e-3), loss="binary_crossentropy")
        model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, verbose=0)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure({"trainer": trainer, "stock": stock}[sys.argv[1]])
    else:
        print(
            f"trials: ResNet50 {SHAPE}, {FOLDS} folds x {EPOCHS} epochs of {SAMPLES} samples, "
            f"batch {BATCH}, Adam"
        )
        compare(__file__, "trainer", "stock", (), RUNS)
