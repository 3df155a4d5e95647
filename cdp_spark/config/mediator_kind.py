"""What kind of mediator a config names: one that scores the models' pairs, or one that needs no labels."""

from __future__ import annotations

import json

from cdp_spark.config.sections import SHIPPED
from cdp_spark.files.folder import Folder

CARD = "card.json"
WITHOUT_LABELS = "cdp-spark mediator without labels"
"""Kind, in the card, of the mediator that ships and of those of ``cdp-spark train --simulated``."""


def is_without_labels(mediator: str) -> bool:
    """Return whether a mediator was trained on simulated sets, by its card; False without a readable card."""
    if mediator == SHIPPED:
        return True
    try:
        data = Folder(mediator).read_bytes(CARD)
        return data is not None and json.loads(data)["kind"] == WITHOUT_LABELS
    except (OSError, ValueError, KeyError, TypeError):  # loading the mediator reports the error
        return False
