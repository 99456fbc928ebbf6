"""The studies' pages say what their trials say, and every trial is in the script."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import REPO, environment


@pytest.mark.parametrize('study', ['camvid'])
def test_page_is_that_of_the_trials(study, tmp_path):
    """Nothing is left to train, and drawing the page anew changes nothing."""
    shutil.copytree(REPO / 'docs' / 'studies', tmp_path / 'docs' / 'studies')
    for name in ('configs', 'tools'):
        (tmp_path / name).symlink_to(REPO / name)
    page = Path('docs', 'studies', f'{study}.md')
    text = (tmp_path / page).read_text()
    (tmp_path / page).write_text(without_numbers(text))
    done = subprocess.run(
        [sys.executable, f'tools/studies/{study}.py'],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=55,
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / 'work_dirs').exists()
    assert (tmp_path / page).read_text() == text


def without_numbers(text):
    """A page whose tables are empty."""
    kept, inside = [], False
    for line in text.splitlines(keepends=True):
        inside = inside and line != '<!-- end -->\n'
        if not inside:
            kept.append(line)
        inside = inside or (line.startswith('<!-- ') and line != '<!-- end -->\n')
    return ''.join(kept)
