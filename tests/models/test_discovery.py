import json
import subprocess
import sys

from models.discovery import answer

HYPER = """
import keras
import keras_tuner

class Hyper(keras_tuner.HyperModel):
    def __init__(self, depth=1):
        super().__init__()
        self.depth = depth

    def build(self, hp):
        for i in range(self.depth):
            hp.Boolean(f"norm_{i}")
        patch = keras.Input((5, 5, 3))
        return keras.Model(patch, patch)
"""


def request(folder, **changes):
    (folder / "hyper.py").write_text(HYPER)
    own = {"source": f"{folder / 'hyper.py'}:Hyper", "params": {}, "arguments": {"depth": 2}} | changes
    return {"shape": [5, 5, 3], "hypermodels": {"hyper": own}}


def test_constructor_arguments_reach_the_hypermodel_and_fixed_ones_are_not_asked(tmp_path):
    questions = answer(request(tmp_path, params={"norm_0": True}))["questions"]["hyper"]
    assert [(q["name"], q["domain"], q["conditions"]) for q in questions] == [
        ("norm_1", {"choices": [True, False]}, [])
    ]


def test_what_cannot_be_loaded_is_said_in_one_line(tmp_path):
    error = answer(request(tmp_path, source=f"{tmp_path}/other.py:Hyper"))["error"]
    assert "other.py" in error
    assert "\n" not in error


def test_the_program_answers_with_its_last_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "-P", "-m", "models.discovery"],
        input=json.dumps(request(tmp_path)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(json.loads(done.stdout.splitlines()[-1])["questions"]["hyper"]) == 2
