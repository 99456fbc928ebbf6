import pytest

from mmkd.analysis.comparison import load_comparison, shorten
from mmkd.analysis.report import cost_table
from mmkd.errors import UserError
from mmkd.runs.recipe import recipe

from .runs import BIG, PRETRAINED, STUDENT, step, teacher_at, validation, write_run


@pytest.fixture
def folder(tmp_path):
    """Two seeds of a baseline and of two methods, and their teacher."""
    distillation = dict(
        teacher=teacher_at(tmp_path / 'big_city' / 'seed_0' / 'iter_4.pth'),
        model=PRETRAINED,
    )
    for seed in (0, 1):
        for name, miou, settings in (
            ('lskd_big_small_city', 24 + 2 * seed, distillation),
            ('kd_big_small_city', 22 + seed, distillation),
            ('small_city', 20 + seed, dict(model=STUDENT)),
            ('big_city', 40 + seed, dict(model=BIG)),
        ):
            more = {'teacher/mIoU': 39.0} if '_small' in name else {}
            if name.startswith('lskd'):
                more |= {'fidelity/agreement': 0.5 + seed / 10, 'fidelity/ece': 0.1}
            classes = dict(road=90.0 + miou, sky=miou)
            write_run(
                tmp_path / name / f'seed_{seed}', step(2), validation(2, 50.0), step(4),
                validation(4, miou, classes, **more), seed=seed, **settings,
            )  # fmt: skip
    return tmp_path


def test_roles_and_names(folder):
    comparison = load_comparison([folder])
    assert comparison.baseline == 'small_city'
    assert comparison.teacher_methods == {'big_city': 'teacher'}
    assert comparison.distillations == ['kd_big_small_city', 'lskd_big_small_city']
    assert comparison.compared == ['small_city', *comparison.distillations]
    assert list(comparison.names.values()) == ['baseline', 'kd', 'lskd', 'teacher']
    assert comparison.metric == 'mIoU'
    assert comparison.unit == 'iteration'


def test_values(folder):
    comparison = load_comparison([folder])
    assert comparison.values('mIoU')['kd_big_small_city'] == {0: 22.0, 1: 23.0}
    assert comparison.values('mIoU', best=True)['kd_big_small_city'] == {
        0: 50.0,
        1: 50.0,
    }
    rows = {row['config']: row for row in comparison.summary()}
    assert rows['lskd_big_small_city']['difference'] == 4.5
    assert rows['big_city']['difference'] is None
    assert rows['big_city']['mean'] == 40.5
    assert comparison.teacher_level == 40.5


def test_class_differences(folder):
    differences = load_comparison([folder]).class_differences()
    assert differences == {
        'kd_big_small_city': dict(road=2.0, sky=2.0),
        'lskd_big_small_city': dict(road=4.5, sky=4.5),
    }


def test_fidelity(folder):
    found = load_comparison([folder]).fidelity()
    assert found == {'lskd_big_small_city': dict(agreement=[0.5, 0.6], ece=[0.1, 0.1])}


def test_without_the_teachers_run(folder):
    names = ('small_city', 'kd_big_small_city')
    comparison = load_comparison([folder / name for name in names])
    assert comparison.teacher_methods == {}
    assert comparison.teacher_level == 39.0


def test_several_teachers(tmp_path):
    """Each has its own role, and the level is that of their common predictions."""
    folders = dict(coarse='coarse_net', fine='fine_net')
    configs = (
        f"{name}=dict(config='t.py', checkpoint='{tmp_path / run / 'iter_4.pth'}')"
        for name, run in folders.items()
    )
    teacher = f'teacher = dict({", ".join(configs)})\n'
    measured = {'teacher/mIoU': 45.0, 'teacher.fine/mIoU': 39.0}
    for name, miou, settings, more in (
        ('kd', 30.0, dict(teacher=teacher), measured),
        ('alone', 20.0, {}, {}),
        ('coarse_net', 41.0, dict(model=BIG), {}),
        ('fine_net', 42.0, dict(model=BIG), {}),
    ):
        write_run(tmp_path / name, step(2), validation(4, miou, **more), **settings)
    comparison = load_comparison([tmp_path])
    assert comparison.teacher_methods == {
        'coarse_net': 'teacher.coarse',
        'fine_net': 'teacher.fine',
    }
    assert comparison.names['fine_net'] == 'teacher.fine'
    assert comparison.teacher_level == 45.0
    assert recipe(comparison.first('kd').config)['teacher.fine'] == 't, iter_4.pth'
    rows, _ = cost_table(load_comparison([tmp_path / 'kd', tmp_path / 'alone']))
    assert [row[0] for row in rows.rows[-2:]] == ['teacher.coarse', 'teacher.fine']


def test_without_a_baseline(folder):
    folders = [folder / 'kd_big_small_city', folder / 'big_city']
    comparison = load_comparison(folders)
    assert comparison.baseline is None
    assert all(row['difference'] is None for row in comparison.summary())
    named = load_comparison(folders, 'big_city')
    assert named.summary()[1]['difference'] == -18.0


def test_unfinished_runs_are_left_out(folder):
    write_run(
        folder / 'kd_big_small_city' / 'seed_2', step(2), validation(2, 1.0), seed=2
    )
    comparison = load_comparison([folder])
    assert sorted(comparison.runs['kd_big_small_city']) == [0, 1]
    assert [run.path.name for run in comparison.unfinished] == ['seed_2']


def test_bad_folders(folder, tmp_path):
    with pytest.raises(UserError, match='is not a folder'):
        load_comparison([folder / 'absent'])
    (tmp_path / 'empty').mkdir()
    with pytest.raises(UserError, match=r'empty.*contains no run'):
        load_comparison([tmp_path / 'empty'])
    with pytest.raises(UserError, match='--baseline nowhere: no such method'):
        load_comparison([folder], 'nowhere')
    with pytest.raises(UserError, match='mAP; choose one that they share: aAcc, mIoU'):
        load_comparison([folder], metric='mAP')
    write_run(
        folder / 'other' / 'small_city' / 'seed_1', step(4), validation(4, 1.0), seed=1
    )
    with pytest.raises(UserError, match='both small_city with seed 1'):
        load_comparison([folder])
    write_run(tmp_path / 'begun' / 'kd', step(1))
    with pytest.raises(UserError, match='nothing to report'):
        load_comparison([tmp_path / 'begun'])


def test_the_same_folder_twice_is_one(folder):
    comparison = load_comparison([folder, folder / 'small_city'])
    assert sorted(comparison.runs['small_city']) == [0, 1]


@pytest.mark.parametrize(
    ('names', 'short'),
    [
        (['kd_r50_city', 'dkd-ls_r50_city', 'cwd_r50_city'], ['kd', 'dkd-ls', 'cwd']),
        (['kd_r50_city', 'kd_r101_city'], ['kd_r50', 'kd_r101']),
        (['kd_city', 'kd_camvid'], ['kd_city', 'kd_camvid']),
        (['kd_x', 'x'], ['kd_x', 'x']),
        (['kd_city'], ['kd_city']),
    ],
)
def test_shortened_names(names, short):
    assert shorten(names) == short
