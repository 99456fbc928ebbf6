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
    checkout(tmp_path)
    page = Path('docs', 'studies', f'{study}.md')
    text = (tmp_path / page).read_text()
    (tmp_path / page).write_text(without_numbers(text))
    done = run(study, tmp_path)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / 'work_dirs').exists()
    assert (tmp_path / page).read_text() == text


def test_page_of_half_a_study(tmp_path):
    """Nothing is drawn, and a trial that is missing is named."""
    checkout(tmp_path)
    folder = tmp_path / 'docs' / 'studies'
    text = (folder / 'camvid.md').read_text()
    trials = folder / 'camvid' / 'trials.jsonl'
    kept = [
        line
        for line in trials.read_text().splitlines(keepends=True)
        if not line.startswith('{"group": "methods", "method": "CWD", "seed": 1')
    ]
    trials.write_text(''.join(kept))
    done = run('camvid', tmp_path, '--draw')
    assert done.returncode == 1
    assert (
        'has not yet 1 of the trials, such as methods CWD 1; leave out' in done.stderr
    )
    assert (folder / 'camvid.md').read_text() == text


def checkout(folder):
    """What a study's script needs."""
    shutil.copytree(REPO / 'docs' / 'studies', folder / 'docs' / 'studies')
    for name in ('configs', 'tools'):
        (folder / name).symlink_to(REPO / name)


def run(study, folder, *options):
    """Runs a study's script in a folder."""
    return subprocess.run(
        [sys.executable, f'tools/studies/{study}.py', *options],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=55,
    )


def without_numbers(text):
    """A page whose tables are empty."""
    kept, inside = [], False
    for line in text.splitlines(keepends=True):
        inside = inside and line != '<!-- end -->\n'
        if not inside:
            kept.append(line)
        inside = inside or (line.startswith('<!-- ') and line != '<!-- end -->\n')
    return ''.join(kept)
