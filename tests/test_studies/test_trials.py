import json
import math
import shutil

import pytest

from mmkd.errors import UserError
from mmkd.runs.training import Training
from studies.trials import Trial, Trials
from tests.test_analysis.runs import CONFIG, STUDENT, step, validation, write_run

GROUP = 'main', 'kd'


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text(
        CONFIG.format(model=STUDENT, teacher='', length='max_iters=4', seed=0)
    )
    return str(path)


@pytest.fixture
def train(tmp_path, monkeypatch):
    """Finish a training at once; return the list of what was trained."""
    trained = []

    def start(run, environment=None):
        trained.append(run.name)
        classes = dict(road=50.0, sky=math.nan)
        records = step(4, loss=1.5), validation(4, 30.0, classes)
        write_run(run.work_dir, *records)
        (run.work_dir / 'last_checkpoint').write_text(str(run.directory.checkpoint))

    monkeypatch.setattr(Training, 'start', start)
    return trained


def trials_in(folder):
    return Trials(folder / 'study' / 'trials.jsonl', folder / 'work')


def test_only_what_is_missing_is_trained(tmp_path, config, train):
    first, second = (Trial(*GROUP, seed, config) for seed in (0, 1))
    trials_in(tmp_path).complete([first])
    trials = trials_in(tmp_path)
    trials.complete([first, second])
    assert train == ['main kd 0', 'main kd 1']
    assert trials.values('main', 'mIoU') == {'kd': {0: 30.0, 1: 30.0}}
    assert trials_in(tmp_path).values('main', 'mIoU') == trials.values('main', 'mIoU')
    assert trials_in(tmp_path).of('other') == {}


def test_a_teacher_comes_along_where_its_checkpoint_is_gone(tmp_path, config, train):
    teacher = Trial('main', 'teacher', 0, config)
    trials_in(tmp_path).complete([teacher])
    shutil.rmtree(tmp_path / 'work')
    trials_in(tmp_path).complete([teacher])
    assert train == ['main teacher 0']
    line = trials_in(tmp_path).of('main')['teacher']
    students = [Trial(*GROUP, seed, config, teacher=teacher) for seed in (0, 1)]
    trials_in(tmp_path).complete(students)
    assert train[1:] == ['main teacher 0', 'main kd 0', 'main kd 1']
    assert trials_in(tmp_path).of('main')['teacher'] == line


def test_a_line_is_what_the_logs_hold(tmp_path, config, train):
    options = {'model.backbone.depth': 50}
    trials_in(tmp_path).complete([Trial(*GROUP, 3, config, options)])
    (line,) = (tmp_path / 'study' / 'trials.jsonl').read_text().splitlines()
    assert 'NaN' not in line
    record = json.loads(line)
    assert (record['group'], record['method'], record['seed']) == (*GROUP, 3)
    assert record['options'] == options
    assert record['metrics'] == {'mIoU': 30.0, 'aAcc': 80.0}
    assert record['classes'] == {'road': 50.0}
    assert record['losses'] == {'loss': 1.5}
    assert record['environment']['PyTorch'] == '2.15.0'


def test_other_options_are_refused(tmp_path, config, train):
    trials_in(tmp_path).complete([Trial(*GROUP, 0, config, {'a.b': (1, 2)})])
    trials_in(tmp_path).complete([Trial(*GROUP, 0, config, {'a.b': [1, 2]})])
    with pytest.raises(UserError, match=r'main kd 0 .* other options'):
        trials_in(tmp_path).complete([Trial(*GROUP, 0, config, {'a.b': 1})])


def test_what_has_finished_is_kept_when_another_fails(
    tmp_path, config, train, monkeypatch
):
    fine, wrong = (Trial('main', name, 0, config) for name in ('kd', 'wrong'))
    start = Training.start

    def fail(run, environment=None):
        if 'wrong' in run.name:
            raise UserError('no')
        return start(run)

    monkeypatch.setattr(Training, 'start', fail)
    with pytest.raises(UserError):
        trials_in(tmp_path).complete([fine, wrong])
    assert list(trials_in(tmp_path).of('main')) == ['kd']
