"""The command that looks for what makes trainings disappoint."""

import shutil

DOCTOR = 'analysis/doctor.py'


def test_what_the_training_has_warned_of(bench, distilled):
    done = bench.run(DOCTOR, 'work_dirs/kd', code=1)
    lines = [line.removeprefix('work_dirs/kd: ') for line in done.output.splitlines()]
    assert '1 process x batch size 2 = 2' in lines[0]
    for line in lines:
        assert f' - WARNING - {line}' in distilled.output


def test_nothing_found(bench, distilled):
    folder = bench.folder / 'doctor'
    shutil.copytree(bench.folder / 'work_dirs/kd', folder / 'kd')
    for config in folder.glob('kd/*/vis_data/config.py'):
        text = config.read_text()
        config.write_text(text.replace('base_batch_size=8', 'base_batch_size=2'))
    for log in folder.glob('kd/*/vis_data/scalars.json'):
        log.write_text('{"loss": 2.0, "iter": 1, "step": 1}\n')
    assert bench.run(DOCTOR, 'doctor').output == 'doctor/kd: nothing found\n'
    for config in folder.glob('kd/*/vis_data/config.py'):
        config.write_text('print("run")')
    done = bench.run(DOCTOR, 'doctor', code=2)
    assert done.output.startswith("error: config: 'doctor/kd/")


def test_no_run(bench):
    done = bench.run(DOCTOR, 'none\x1b[2Jwhere', code=2)
    assert done.output.startswith("error: 'none?[2Jwhere': contains no run")
