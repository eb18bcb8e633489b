"""The versions of the software that a result depends on."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    "radsearch",
    "optuna",
    "mlflow",
    "keras",
    "tensorflow",
    "tensorflow-cpu",
    "numpy",
    "scikit-learn",
    "nibabel",
)


def software_versions() -> dict[str, str]:
    """Versions of Python and of the installed packages that matter, by distribution name.

    Read from the packages' metadata: nothing is imported. A package that is not installed is left out.
    """
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
