import pytest

from mmkd.analysis.study import gather, shorten
from mmkd.errors import UserError

from .runs import BIG, SAME, distiller, step, table, validation, write_run


@pytest.fixture
def folder(tmp_path):
    """Two seeds of a student alone and of two methods, and their teacher."""
    weights = tmp_path / 'big_city' / 'seed_0' / 'iter_4.pth'
    for seed in (0, 1):
        for name, miou, model in (
            ('lskd_big_small_city', 24 + 2 * seed, distiller(weights)),
            ('kd_big_small_city', 22 + seed, distiller(weights)),
            ('small_city', 20 + seed, SAME),
            ('big_city', 40 + seed, BIG),
        ):
            more = {'teacher/mIoU': 39.0} if '_small' in name else {}
            if name.startswith('lskd'):
                more |= {'fidelity/agreement': 0.5 + seed / 10, 'fidelity/ece': 0.1}
            write_run(
                tmp_path / name / f'seed_{seed}', step(2), validation(2, 50.0), step(4),
                validation(4, miou, **more), seed=seed, model=model,
                text=table(road=90.0 + miou, sky=miou),
            )  # fmt: skip
    return tmp_path


def test_roles_and_names(folder):
    study = gather([folder])
    assert study.baseline == 'small_city'
    assert study.teacher_method == 'big_city'
    assert study.distillations == ['kd_big_small_city', 'lskd_big_small_city']
    assert study.compared == ['small_city', *study.distillations]
    assert list(study.names.values()) == ['alone', 'kd', 'lskd', 'teacher']
    assert study.metric == 'mIoU'
    assert study.unit == 'iteration'


def test_values(folder):
    study = gather([folder])
    assert study.values('mIoU')['kd_big_small_city'] == {0: 22.0, 1: 23.0}
    assert study.values('mIoU', best=True)['kd_big_small_city'] == {0: 50.0, 1: 50.0}
    rows = {row['config']: row for row in study.summary()}
    assert rows['lskd_big_small_city']['difference'] == 4.5
    assert rows['big_city']['difference'] is None
    assert rows['big_city']['mean'] == 40.5
    assert study.teacher_level == 40.5


def test_class_differences(folder):
    differences = gather([folder]).class_differences()
    assert differences['kd_big_small_city'] == dict(road=2.0, sky=2.0)
    assert differences['lskd_big_small_city'] == dict(road=4.5, sky=4.5)
    assert len(differences) == 2


def test_fidelity(folder):
    found = gather([folder]).fidelity()
    assert found == {'lskd_big_small_city': dict(agreement=[0.5, 0.6], ece=[0.1, 0.1])}


def test_without_the_teachers_run(folder):
    names = ('small_city', 'kd_big_small_city')
    study = gather([folder / name for name in names])
    assert study.teacher_method is None
    assert study.teacher_level == 39.0


def test_without_the_student_alone(folder):
    study = gather([folder / 'kd_big_small_city', folder / 'big_city'])
    assert study.baseline is None
    assert all(row['difference'] is None for row in study.summary())
    named = gather([folder / 'kd_big_small_city', folder / 'big_city'], 'big_city')
    assert named.summary()[1]['difference'] == -18.0


def test_unfinished_runs_are_left_out(folder):
    write_run(
        folder / 'kd_big_small_city' / 'seed_2', step(2), validation(2, 1.0), seed=2
    )
    study = gather([folder])
    assert sorted(study.runs['kd_big_small_city']) == [0, 1]
    assert [run.folder.name for run in study.unfinished] == ['seed_2']


def test_bad_folders(folder, tmp_path):
    with pytest.raises(UserError, match='is no folder'):
        gather([folder / 'absent'])
    (tmp_path / 'empty').mkdir()
    with pytest.raises(UserError, match=r'empty.*no run here'):
        gather([tmp_path / 'empty'])
    with pytest.raises(UserError, match='--baseline lone: there is'):
        gather([folder], 'lone')
    with pytest.raises(UserError, match='mAP; what they share: aAcc, mIoU'):
        gather([folder], metric='mAP')
    write_run(
        folder / 'other' / 'small_city' / 'seed_1', step(4), validation(4, 1.0), seed=1
    )
    with pytest.raises(UserError, match='both small_city with seed 1'):
        gather([folder])
    write_run(tmp_path / 'begun' / 'kd', step(1))
    with pytest.raises(UserError, match='nothing to report'):
        gather([tmp_path / 'begun'])


def test_the_same_folder_twice_is_one(folder):
    study = gather([folder, folder / 'small_city'])
    assert sorted(study.runs['small_city']) == [0, 1]


@pytest.mark.parametrize(
    ('names', 'short'),
    [
        (
            ['r18_city', 'kd_r50_r18_city', 'cwd_r50_r18_city'],
            ['r18_city', 'kd', 'cwd'],
        ),
        (['student', 'teacher'], ['student', 'teacher']),
        (['kd_city', 'kd_camvid'], ['kd_city', 'kd_camvid']),
        (['kd_a_city', 'kd_b_city', 'kd_a_b'], ['kd_a', 'kd_b', 'kd_a_b']),
        (['kd_x', 'kd_y_x', 'kd'], ['kd', 'kd_y', 'kd']),
    ],
)
def test_shortened_names(names, short):
    assert shorten(names) == (short if len(set(short)) == len(short) else names)
