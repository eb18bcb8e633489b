import platform
import subprocess
import sys

import numpy

from search import versions
from search.versions import software_versions


def test_the_versions_are_those_in_use():
    found = software_versions()
    assert found["python"] == platform.python_version()
    assert found["numpy"] == numpy.__version__
    assert {"radsearch", "optuna", "mlflow", "keras", "scikit-learn", "nibabel"} <= found.keys()
    assert {"tensorflow", "tensorflow-cpu"} & found.keys()


def test_a_package_that_is_not_installed_is_left_out(monkeypatch):
    monkeypatch.setattr(versions, "PACKAGES", ("numpy", "no-such-package"))
    assert software_versions().keys() == {"python", "numpy"}


def test_asking_imports_none_of_them():
    code = (
        "import sys; from search.versions import software_versions; software_versions();"
        "print(sorted({'optuna', 'mlflow', 'keras', 'tensorflow', 'numpy'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
