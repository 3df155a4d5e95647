"""What pytest cannot import without an optional package is not collected for doctests."""

from importlib.util import find_spec

NEEDS = {
    "torch": [
        "cdp_spark/datasets/glyph_embedders.py",
        "cdp_spark/training/kernels/train_rich_network.py",
        "cdp_spark/training/kernels/train_network.py",
    ]
}

collect_ignore = [path for package, paths in NEEDS.items() if find_spec(package) is None for path in paths]
