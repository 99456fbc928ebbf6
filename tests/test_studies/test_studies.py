"""Studies' pages agree with their trials, and their configs with the scripts."""

import importlib
import runpy
import shutil
import subprocess
import sys
from itertools import groupby
from math import ceil
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.config import Config

from mmkd.distillation.tapped_loss import TappedLoss
from mmkd.engine.config import read_config
from mmkd.errors import UserError
from mmkd.losses.schedule import Progress
from studies import summary
from studies.camvid import trainings as camvid
from studies.camvid_400 import trainings as camvid_400
from studies.camvid_class_balance import trainings as camvid_class_balance
from studies.camvid_plan import POWERS
from studies.omniglot import trainings as omniglot
from studies.street_scenes import trainings as street_scenes
from studies.trials import Trials
from tests.conftest import HANGS
from tests.test_tools.conftest import REPO, environment

METHODS = {
    'KD': 'kd',
    'KD+LS': 'lskd',
    'CTKD+LS': 'ctkd_ls',
    'DKD+LS': 'dkd_ls',
    'MLKD+LS': 'mlkd_ls',
    'BDD': 'bdd',
    'BDD+LS': 'bdd_ls',
    'BDD+LS, SC': 'bdd_ls_sc',
}
STAGES = {
    'camvid': camvid.STAGES,
    'camvid_400': camvid_400.STAGES,
    'camvid_class_balance': camvid_class_balance.STAGES,
    'omniglot': omniglot.STAGES,
    'street_scenes': street_scenes.STAGES,
}


@pytest.mark.parametrize('study', [*STAGES])
def test_page_agrees_with_the_trials(study, tmp_path, monkeypatch):
    """Nothing is left to train, and redrawing the page changes nothing."""
    checkout(tmp_path)
    page = tmp_path / 'studies' / study / 'README.md'
    text = page.read_text()
    page.write_text(without_drawn_parts(text))
    assert draw(study, tmp_path, monkeypatch) is None
    assert page.read_text() == text


def test_summary_agrees_with_the_trials(tmp_path, monkeypatch):
    checkout(tmp_path)
    page = tmp_path / summary.PAGE
    page.parent.mkdir()
    text = (REPO / summary.PAGE).read_text()
    page.write_text(without_drawn_parts(text))
    monkeypatch.chdir(tmp_path)
    summary.main()
    assert page.read_text() == text


def test_page_with_a_missing_trial(tmp_path, monkeypatch):
    """Nothing is drawn, and the missing trial is named."""
    checkout(tmp_path)
    folder = tmp_path / 'studies' / 'camvid_400'
    text = (folder / 'README.md').read_text()
    trials = folder / 'trials.jsonl'
    kept = [
        line
        for line in trials.read_text().splitlines(keepends=True)
        if not line.startswith('{"group": "methods", "method": "CWD", "seed": 1')
    ]
    trials.write_text(''.join(kept))
    error = draw('camvid_400', tmp_path, monkeypatch)
    assert 'trials are missing, such as methods CWD 1; leave out' in error
    assert (folder / 'README.md').read_text() == text


def test_study_without_trials(tmp_path):
    """A study without trials names the first one, and its page says so."""
    checkout(tmp_path)
    done = subprocess.run(
        [sys.executable, '-m', 'studies.camvid_r101.run', '--draw'],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=HANGS,
    )
    assert done.returncode == 1
    assert 'trials are missing, such as weighting 0.25 10; leave' in done.stderr
    page = tmp_path / 'studies' / 'camvid_r101' / 'README.md'
    assert '**Not trained yet.**' in page.read_text()


@pytest.mark.parametrize(
    ('twice', 'teacher', 'message'),
    [
        (51.4, 56.1, None),
        (51.6, 60.0, r'from 50\.00 to 51\.60 mIoU, .*; double them'),
        (51.4, 55.9, r'teacher: 55\.90 mIoU are less than 6\.0 above'),
    ],
)
def test_full_size_study_checks_its_pair(twice, teacher, message, monkeypatch):
    monkeypatch.chdir(REPO)
    module = importlib.import_module('studies.camvid_r101.run')
    found = {
        'pair': {'20000': {10: 50.0}, '40000': {10: twice}},
        'teachers': {'teacher': {0: teacher}},
        'weighting': {f'{power}': {10: power} for power in POWERS},
    }
    trials = SimpleNamespace(values=lambda group, metric: found[group])
    if message:
        with pytest.raises(UserError, match=message):
            module.PLAN.tuning(trials)
    else:
        assert module.PLAN.tuning(trials)[0].name == 'tuning KD, tau 0.5, weight 1 10'


@pytest.mark.parametrize(('method', 'name'), METHODS.items())
def test_method_files_have_the_tuned_settings(method, name, monkeypatch):
    monkeypatch.chdir(REPO)
    plan = omniglot.PLAN
    config = Config.fromfile(REPO / 'studies' / 'omniglot' / 'methods' / f'{name}.py')
    assert set(config) == {'runner_type', 'distill_losses'}
    (loss,) = config.distill_losses.values()
    if 'schedule' in loss:  # stated as a fraction of the run
        loss.schedule.warmup = round(loss.schedule.warmup * 20 * ceil(2184 / 16))
    assert loss == plan.tuned(plan.trials).best(method)


@pytest.mark.parametrize('study', STAGES)
def test_trials_can_be_trained(study, tmp_path, monkeypatch):
    """All losses can be built, and schedules are within the run."""
    checkout(tmp_path)
    monkeypatch.chdir(tmp_path)
    pretend('camvid', camvid.STAGES[:5])  # the settings of the street scenes
    distillations = {
        (trial.config, str(options_of_losses(trial))): trial
        for trial in pretend(study, STAGES[study])
        if trial.teacher
    }
    assert distillations
    ordered = sorted(distillations.values(), key=lambda trial: trial.config)
    for path, group in groupby(ordered, lambda trial: trial.config):
        base = read_config(path)
        for trial in group:
            config = Config(base.to_dict())
            config.merge_from_dict(dict(trial.options))
            assert config.runner_type == 'mmkd.DistillRunner'
            assert config.teacher.checkpoint
            progress = Progress(
                max_iterations=config.train_cfg.get('max_iters'),
                max_epochs=config.train_cfg.get('max_epochs'),
            )
            for name, loss in config.distill_losses.items():
                TappedLoss(name, loss).check_run(progress)


def options_of_losses(trial):
    """Return the options of a trial's losses and its length."""
    keys = 'distill_losses.', 'train_cfg.'
    return {key: v for key, v in trial.options.items() if key.startswith(keys)}


def pretend(study, stages):
    """Return the trials of some stages, with a record of each that has none."""
    trials = Trials(Path('studies', study, 'trials.jsonl'), Path('work_dirs'))
    found = []
    for stage in stages:
        for trial in stage(trials):
            found.append(trial)
            group, method, seed = trial.key
            value = 60.0 if group == 'teachers' else 50.0  # a suitable pair
            metrics = {'mIoU': value, 'accuracy/top1': value}
            record = dict(group=group, method=method, seed=seed, metrics=metrics)
            trials.records.setdefault(trial.key, record)
        trials.add([])  # writes them
    return found


def checkout(folder):
    """Copy what a study's script needs."""
    shutil.copytree(REPO / 'studies', folder / 'studies')
    for name in ('configs', 'tools'):
        (folder / name).symlink_to(REPO / name)


def draw(study, folder, monkeypatch):
    """Run a study's script in a folder with --draw, and return its error."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv('PYTHONPATH', str(folder))  # the script changes it
    monkeypatch.setattr(sys, 'argv', ['run.py', '--draw'])
    try:
        runpy.run_module(f'studies.{study}.run', run_name='__main__')
    except SystemExit as end:
        return end.code
    return None


def without_drawn_parts(text):
    """Return a page with empty tables."""
    kept, inside = [], False
    for line in text.splitlines(keepends=True):
        inside = inside and line != '<!-- end -->\n'
        if not inside:
            kept.append(line)
        inside = inside or (line.startswith('<!-- ') and line != '<!-- end -->\n')
    return ''.join(kept)
