"""Packaging of meta_nni."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "meta_nni/__init__.py").read_text())[1]

CORE = [
    "numpy>=1.26",
    "scipy>=1.11",
    "SQLAlchemy>=2.0,<3",
    "platformdirs>=4",
    "threadpoolctl>=3",
    "packaging>=23",
    "tqdm>=4.60",
]
NNI = [
    "nni==3.0",
    "psutil>=6",
    # nnictl imports pkg_resources, which setuptools 81 removed.
    "setuptools<81",
    # Newer releases hang nnictl and nni.nas.
    "filelock<3.12",
]
AUTOKERAS = [
    "autokeras==3.0.0",
    # keras 3.13 breaks AutoKeras 3.0.0: Dense(units=np.int64) raises.
    "keras>=3.8,<3.13",
    # AutoKeras imports both without declaring them for keras 3.12.
    "tensorboard",
    "six",
    "tensorflow>=2.18,<2.22",
    "scikit-learn>=1.4",
]
POSTGRESQL = ["psycopg[binary]>=3.1"]
IMAGES = ["pillow>=10"]
DETECTION = [*IMAGES, "pycocotools>=2.0.8"]
DRAW = ["networkx>=3.3", "matplotlib>=3.8"]
DOCS = ["mkdocs>=1.6,<2", "mkdocs-material>=9", "mkdocstrings[python]>=1"]
TEST = [
    *POSTGRESQL,
    *DRAW,
    *DOCS,
    *DETECTION,
    "pytest>=8",
    "pytest-xdist>=3.6",
    "hypothesis>=6.100",
    "mypy>=1.11",
    "ruff>=0.6",
    "selenium>=4.20",
]

setup(
    name="meta-nni",
    version=VERSION,
    description="Architecture search that remembers: for NNI and AutoKeras",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11,<3.12",
    packages=[*find_packages(include=["meta_nni", "meta_nni.*"]), "meta_nni.search_spaces"],
    # The spaces stand at the top level for readers and ship inside the package.
    package_dir={"meta_nni.search_spaces": "search_spaces"},
    package_data={
        "meta_nni.adapters": ["nni_manager/*.js"],
        "meta_nni": ["py.typed", "knowledge/*.jsonl.gz", "knowledge/*.npz", "knowledge/*.md"],
        "meta_nni.search_spaces": ["*.json", "*.md"],
    },
    install_requires=[*CORE, *NNI, *AUTOKERAS],
    extras_require={
        "postgresql": POSTGRESQL,
        "images": IMAGES,
        "detection": DETECTION,
        "draw": DRAW,
        "docs": DOCS,
        "test": TEST,
    },
    entry_points={"console_scripts": ["meta-nni=meta_nni.cli:main"]},
)
