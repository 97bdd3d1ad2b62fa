"""The figures in README, card and docs are those that the commands wrote to docs/figures.json."""

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SPEC = importlib.util.spec_from_file_location('make_numbers', ROOT / 'docs/make_numbers.py')
make_numbers = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(make_numbers)

FIGURES = json.loads(make_numbers.STORE.read_text())
TABLES = make_numbers.tables(FIGURES)


@pytest.mark.parametrize('place', TABLES, ids=[f'{page}:{marker}' for page, marker in TABLES])
def test_a_table_shows_what_the_commands_wrote(place):
    page, marker = place
    shown = make_numbers.block((ROOT / page).read_text(), marker).group(1)
    assert shown == TABLES[place], f'{page} is out of date: run `python docs/make_numbers.py`'


def test_the_figures_are_of_the_weights_that_ship():
    assert FIGURES['model_sha256'] == make_numbers.model_hash(), 'run `make figures`: the weights are others'
