"""Made-up input for every reader of what comes from outside: it is read, or refused by one line of the project's own.

`make fuzz` gives each reader CDP_FUZZ_SECONDS; the ordinary run a handful of examples, always the same.
"""

from __future__ import annotations

import os
import time

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz.readers import READERS, Reader, folder, one_line
from tests.fuzz.writers import WRITERS

SECONDS = float(os.environ.get("CDP_FUZZ_SECONDS") or 0)
ALL = {**READERS, **WRITERS}


def try_out(reader: Reader, examples: int, number: int) -> int:
    """Give a reader some examples; return how many it took."""
    taken = 0

    @seed(number)
    @settings(
        max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink] if SECONDS and reader.at_once > 10 else [Phase.generate],
    )  # fmt: skip
    @given(reader.inputs)
    def read(example: object) -> None:
        nonlocal taken
        taken += 1
        with folder() as place:
            try:
                reader.call(example, place)
            except reader.errors as error:
                one_line(error)

    read()
    return taken


@pytest.mark.parametrize(
    "name", ALL if SECONDS else READERS
)  # a page takes a second; test_page.py has hostile text, too
def test_a_reader_takes_what_it_is_given_or_refuses_it_by_one_line(name):
    reader, until = ALL[name], time.monotonic() + SECONDS
    taken = try_out(reader, reader.at_once if SECONDS else reader.examples, 0)
    number = 1 if not SECONDS else time.time_ns() % 2**32
    while time.monotonic() < until:
        taken += try_out(reader, reader.at_once, number)
        number += 1
    if SECONDS:
        print(f"{name}: {taken:,} inputs in {SECONDS:g} s")
    assert taken
