"""Students of other families: networks, distillations and table."""

from types import SimpleNamespace

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn

from mmkd.distillation.tapped_loss import TappedLoss
from mmkd.distillation.taps import default_tap
from mmkd.engine.config import read_config
from mmkd.losses.schedule import Progress
from studies.camvid.other_students import (
    FAMILIES,
    config_of,
    family_table,
    options_of,
    other_students,
)
from studies.camvid.plan import PLAN
from studies.camvid_plan import POWERS, class_weights
from tests.conftest import build, random_batch
from tests.test_tools.conftest import REPO

SINGLE = [name for name, grid in PLAN.grids.items() if 'added' not in grid.loss]


@pytest.fixture(autouse=True)
def repository(monkeypatch):
    monkeypatch.chdir(REPO)


@pytest.mark.parametrize('family', FAMILIES)
def test_networks_run_on_crops_and_validation_images(family):
    """Losses are finite, and a prediction has the size of the label."""
    config = read_config(config_of(family))
    init_default_scope('mmseg')
    model = build(config.model)
    crops = random_batch(2, config.crop_size, classes=11)
    losses = model(**model.data_preprocessor(crops, training=True), mode='loss')
    assert all(value.isfinite().all() for value in losses.values())
    assert default_tap(model, frozen=False) == 'decode_head.conv_seg'
    image = random_batch(1, (180, 240))
    image['data_samples'][0].set_metainfo(dict(ori_shape=(360, 480)))
    (found,) = model.eval().test_step(image)
    assert found.seg_logits.data.shape == (11, 360, 480)


@pytest.mark.parametrize('family', FAMILIES)
def test_a_distillation_adds_the_same_to_each_student(family):
    added = additions(PLAN.student, str(PLAN.folder / 'shared.py'))
    config = added['teacher'].pop('config')
    found = additions(config_of(family), config_of(family, distilled=True))
    assert (REPO / found['teacher'].pop('config')).samefile(REPO / config)
    assert found == added


@pytest.mark.parametrize('best', SINGLE)
def test_trials_can_be_trained(best):
    """A setting is the same for all families, and the losses can be built."""
    trials = other_students(finished(best))
    methods = {
        trial.method.removeprefix('STDC, ')
        for trial in trials
        if 'STDC' in trial.method
    }
    other = 'KD, CB' if best == 'KD' else best
    auto = f'{other}, automatic weight'
    assert methods == {'baseline', 'KD', other, auto}
    assert len(trials) == len({trial.key for trial in trials}) == 3 * 5 * 4
    for trial in trials[:4]:
        assert trial.method.startswith(next(iter(FAMILIES)))
        config = Config(dict(distill_losses={}))
        config.merge_from_dict(dict(trial.options))
        for name, loss in config.distill_losses.items():
            TappedLoss(name, loss).check_run(Progress(max_iterations=1600))
            assert (loss.loss_weight == 'auto') == trial.method.endswith('weight')


@pytest.mark.parametrize('family', FAMILIES)
def test_class_weights_of_each_loss(family):
    """Also of a head with two losses."""
    config = read_config(
        config_of(family), options_of(family, class_weights(0.5))
    ).model
    losses = build(config).decode_head.loss_decode
    several = list(losses) if isinstance(losses, nn.ModuleList) else [losses]
    weights = class_weights(0.5)['model.decode_head.loss_decode.class_weight']
    assert all(list(loss.class_weight) == weights for loss in several)


def test_table():
    values = {
        f'{family}, {method}': {0: value, 1: value + step}
        for family in FAMILIES
        for method, value, step in (
            ('baseline', 50.0, 1.0),
            ('KD', 51.0, 1.5),
            ('DIST', 49.0, 1.0),
        )
    }
    values['DDRNet, KD'] = {0: 49.0, 1: 51.0}
    columns, rows = family_table(SimpleNamespace(values=lambda group, metric: values))
    assert columns == ['student', 'parameters', 'baseline', 'DIST', 'KD']
    found = {row[0]: row[2:] for row in rows}
    assert [*found] == [*FAMILIES, 'mean', 'smallest']
    same = ['50.50 ± 0.71', '-1.00 ± 0.00, 0 of 2']
    assert found['STDC'] == [*same, '+1.25 ± 0.35, 2 of 2']
    assert found['DDRNet'] == [*same, '-0.50 ± 0.71, 0 of 2']
    assert found['mean'] == ['', '-1.00', '+0.90']
    assert found['smallest'] == ['', '-1.00', '-0.50']


def additions(student, distilled):
    """Return the keys that a distillation adds to a student's config, or changes."""
    old, new = read_config(student), read_config(distilled).to_dict()
    return {key: value for key, value in new.items() if old.get(key) != value}


def finished(best):
    """Return finished trials with a best method, followed by KD."""
    scores = {name: 1.0 * (name == 'KD') + 2.0 * (name == best) for name in PLAN.grids}
    cells = {
        cell: {10: scores[name]}
        for name, grid in PLAN.grids.items()
        for cell in grid.cells(name)
    }
    found = {
        'tuning': cells,
        'weighting': {f'{power}': {10: 1.0} for power in POWERS},
        PLAN.longest: {m: dict.fromkeys(PLAN.seeds, s) for m, s in scores.items()},
    }
    return SimpleNamespace(values=lambda group, metric: found[group])
