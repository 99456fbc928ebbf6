"""The table of docs/families.md, which tools/dev/family_table.py writes."""

import runpy
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]

TABLE = runpy.run_path(str(REPO / 'tools/dev/family_table.py'))
PAGE = (REPO / 'docs/families.md').read_text(encoding='utf-8')
LIBRARIES = ('mmseg', 'mmpretrain')
FEW = {'mmseg': ('knet', 'segmenter', 'dmnet'), 'mmpretrain': ('mobilenet_v3',)}
# What no distillation can change; all other networks must work.
OUTSIDE = (
    'estimates depth, not classes',
    "MMPretrain doesn't support to train the distilled version EfficientFormer.",
    "MMPretrain doesn't support training in distillation mode.",
)


def table_of(library):
    """Returns the rows of a library's table by family."""
    start, end = f'<!-- {library} -->', f'<!-- end of {library} -->'
    text = PAGE[PAGE.index(start) : PAGE.index(end)]
    lines = [line for line in text.splitlines() if line.startswith('| ')][2:]
    return {line.split(' | ')[0].removeprefix('| '): line for line in lines}


@pytest.mark.parametrize('library', LIBRARIES)
def test_a_few_families(library):
    for row in TABLE['rows'](library, FEW[library]):
        assert str(row) == table_of(library)[row.family]
        assert set(row.results.values()) == {'yes'}


@pytest.mark.parametrize('library', LIBRARIES)
def test_every_family_is_there_and_fails_only_for_a_reason_outside(library):
    table = table_of(library)
    assert set(table) == set(TABLE['families'](library))
    for line in table.values():
        results = line.split(' | ')[2:4]
        assert all(
            result == 'yes' or result.removeprefix('no: ') in OUTSIDE
            for result in results
        ), line


@pytest.mark.slow
@pytest.mark.parametrize('library', LIBRARIES)
def test_the_table_is_what_the_script_finds(library):
    table = table_of(library)
    found = {row.family: str(row) for row in TABLE['rows'](library)}
    assert len(found) > len(table) - 7  # six families need more than is installed
    assert found == {family: table[family] for family in found}
