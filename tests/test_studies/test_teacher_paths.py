"""Paths of teachers' checkpoints, which are options of a command line."""

import pytest

from mmkd.cli.train import parse_args
from studies.camvid.all_images import all_images
from studies.camvid.few_labels import few_labels
from studies.camvid.other_students import other_students
from studies.camvid.plan import PLAN
from studies.street_scenes.trainings import methods
from tests.test_tools.conftest import REPO

KEY = 'teacher.checkpoint'


@pytest.mark.parametrize('stage', [all_images, few_labels, other_students, methods])
def test_paths_are_read_as_given(stage, monkeypatch):
    monkeypatch.chdir(REPO)
    paths = {
        trial.options[KEY] for trial in stage(PLAN.trials) if trial.teacher is not None
    }
    assert paths
    for path in paths:
        arguments = parse_args(['c.py', '--cfg-options', f'{KEY}={path}'])
        assert arguments.cfg_options == {KEY: path}
