"""The studies' pages say what their trials say, and every trial is in the script."""

import importlib
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.config import Config

from mmkd.analysis.trials import Trials
from mmkd.errors import UserError

from .conftest import REPO, environment

# Of each method: the config that its setting goes into.
SEGMENTATION = {
    'KD': 'kd',
    'KD+LS': 'lskd',
    'BDD': 'bdd',
    'levelled, and CWD': 'bdd_ls',
    'DKD+LS': 'dkd_ls',
    'CWD': 'cwd',
    'DIST': 'dist',
}
OMNIGLOT = {
    'KD': 'kd/kd',
    'KD+LS': 'lskd/lskd',
    'CTKD+LS': 'ctkd/ctkd-ls',
    'DKD+LS': 'dkd/dkd-ls',
    'MLKD+LS': 'mlkd/mlkd-ls',
    'BDD': 'bdd/bdd',
    'BDD+LS': 'bdd_ls/bdd-ls',
}
DEFAULTS = {'taus': [3.0, 5.0, 2.0, 6.0]}  # MLKDLoss's


@pytest.mark.parametrize('study', ['camvid', 'omniglot'])
def test_page_is_that_of_the_trials(study, tmp_path):
    """Nothing is left to train, and drawing the page anew changes nothing."""
    checkout(tmp_path)
    page = Path('docs', 'studies', f'{study}.md')
    text = (tmp_path / page).read_text()
    (tmp_path / page).write_text(without_numbers(text))
    done = run(study, tmp_path, '--draw')
    assert done.returncode == 0, done.stderr
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
    assert 'trials are missing, such as methods CWD 1; leave out' in done.stderr
    assert (folder / 'camvid.md').read_text() == text


def test_study_that_waits_for_a_gpu(tmp_path):
    """Its script asks for its first trial, and its page says that there is none."""
    checkout(tmp_path)
    done = run('camvid_r101', tmp_path, '--draw')
    assert 'trials are missing, such as lengths 10000 10; leave' in done.stderr
    page = tmp_path / 'docs' / 'studies' / 'camvid_r101.md'
    assert '**Not trained yet.**' in page.read_text()


@pytest.mark.parametrize(('twice', 'enough'), [(51.4, True), (51.6, False)])
def test_full_size_study_stops_if_its_length_is_too_short(twice, enough, monkeypatch):
    monkeypatch.syspath_prepend(REPO / 'tools' / 'studies')
    module = importlib.import_module('camvid_r101')
    found = {'10000': {10: 50.0}, '20000': {10: twice}}
    trials = SimpleNamespace(values=lambda group, metric: found)
    if enough:
        names = [trial.method for trial in module.teachers(trials)]
        assert names == ['r101', 'r101_tuning']
    else:
        with pytest.raises(UserError, match=r'to 51\.60 mIoU, .*; double it'):
            module.teachers(trials)


@pytest.mark.parametrize(
    ('study', 'module', 'configs', 'path'),
    [
        ('camvid', 'camvid_scale', SEGMENTATION, '_base_/methods/{}.py'),
        ('omniglot', 'omniglot_trials', OMNIGLOT, '{}_omniglot.py'),
    ],
)
def test_configs_have_the_settings_that_tuning_found(
    study, module, configs, path, monkeypatch
):
    monkeypatch.syspath_prepend(REPO / 'tools' / 'studies')
    module, grid = map(importlib.import_module, (module, 'grid'))
    trials = Trials(REPO / 'docs' / 'studies' / study / 'trials.jsonl', Path())
    tuned = grid.Tuning(trials, module.GRIDS, module.METRIC)
    for method, name in configs.items():
        config = Config.fromfile(REPO / 'configs' / path.format(name))
        losses = config.get('distill_losses') or config.model.distill_losses
        wanted = dict(tuned.best(method))
        wanted = [wanted, wanted.pop('beside')] if 'beside' in wanted else [wanted]
        for loss, has in zip(wanted, losses.values(), strict=True):
            assert loss.pop('type').removeprefix('mmkd.') in has.type
            loss.pop('schedule', None)  # goes with the length of the training
            if 'divergence' in loss:
                assert loss.pop('divergence').removeprefix('mmkd.') in (
                    has.divergence.type
                )
            for key, value in loss.items():
                assert has.get(key, DEFAULTS.get(key)) == value, (name, key)


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
