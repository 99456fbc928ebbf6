"""Whole runs of the tools on a tiny dataset, each made once and shared.

Most runs are forks of one process that has imported the stack already, which spares
each of them seconds; what a run prints and its exit status are those of the script.
"""

import json
import multiprocessing
import os
import re
import runpy
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import mmengine
import numpy as np
import pytest
from mmengine.utils import digit_version
from PIL import Image

from tests.conftest import HANGS

REPO = Path(__file__).parents[2]
CONFIGS = REPO / 'configs'
TOOLS = REPO / 'tools'
(BASE,) = CONFIGS.glob('pspnet/pspnet_r18quarter-*.py')

NETWORK = """
_base_ = '{base}'
model = dict(
    data_preprocessor=dict(size=(64, 64)),
    backbone=dict(stem_channels={width}, base_channels={width}),
    decode_head=dict(in_channels={width} * 8, channels=8),
    auxiliary_head=dict(in_channels={width} * 4, channels=8),
)
train_pipeline = _base_.train_pipeline
train_pipeline[2].scale = (96, 64)
train_pipeline[3].crop_size = (64, 64)
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = (96, 64)
data_root = '{data}'
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(data_root=data_root, pipeline=train_pipeline),
)
val_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(data_root=data_root, pipeline=test_pipeline),
)
test_dataloader = val_dataloader
train_cfg = dict(max_iters=4, val_interval=2)
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=2))
randomness = dict(seed=0)
"""
DISTILLED = """
_base_ = 'student.py'
runner_type = 'mmkd.DistillRunner'
teacher = dict(config='teacher.py', checkpoint='{checkpoint}')
distill_losses = dict(
    loss_kd=dict(
        type='KDLoss',
        tau=0.5,
        standardize=True,
        divergence=dict(type='BalancedKL'),
        loss_weight=1.0,
        schedule=dict(warmup=2),
    )
)
"""


@dataclass
class Result:
    """Exit status and output of a run."""

    code: int
    output: str

    @property
    def metrics(self) -> list[dict]:
        """Metrics of each evaluation, overall and by class."""
        found = []
        for block in self.output.split('per class results:')[1:]:
            total = dict(re.findall(r'(aAcc|mIoU|mAcc): ([\d.]+)', block))
            rows = re.findall(r'\|\s*(.+?)\s*\|\s*([\d.]+|nan)\s*\|', block)
            found.append(
                {
                    **{name: float(value) for name, value in total.items()},
                    **dict(rows),  # as text: nan is not nan
                }
            )
        return found

    def iterations(self) -> list[int]:
        """The iterations that were trained, as logged."""
        return [int(i) for i in re.findall(r'Iter\(train\)\s*\[\s*(\d+)/', self.output)]


def _run_script(script: str, arguments: list, cwd: str, log: str) -> None:
    sys.stdout.flush()  # what the preloaded packages had printed
    with open(log, 'wb') as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.chdir(cwd)
    sys.argv = [script, *arguments]
    sys.path[0] = str(Path(script).parent)
    runpy.run_path(script, run_name='__main__')


def preload() -> multiprocessing.context.BaseContext:
    os.environ.setdefault('OMP_NUM_THREADS', '1')  # before the fork server starts
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(
        ['mmseg.apis', 'mmseg.datasets', 'mmkd.distillation']
    )
    return context


@dataclass
class Workbench:
    """A folder with data and configs to run the tools in."""

    folder: Path

    def write(self, name: str, text: str) -> str:
        """Writes a config; returns its path."""
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def start(self, tool: str, *arguments: object) -> tuple:
        """Starts a tool; returns the process and its log file."""
        log = self.folder / f'{len(list(self.folder.glob("*.log")))}.log'
        log.touch()
        script = str(TOOLS / tool)
        arguments = [str(argument) for argument in arguments]
        process = preload().Process(
            target=_run_script, args=(script, arguments, str(self.folder), str(log))
        )
        process.start()
        return process, log

    def finish(self, process: object, log: Path) -> Result:
        process.join(HANGS)
        if process.is_alive():
            process.kill()
            pytest.fail(f'still running: {log.read_text()[-2000:]}')
        return Result(process.exitcode, log.read_text())

    def run(self, tool: str, *arguments: object, code: int | None = 0) -> Result:
        """Runs a tool to its end, which must have the exit status ``code``."""
        result = self.finish(*self.start(tool, *arguments))
        assert code is None or result.code == code, result.output[-4000:]
        return result

    def shell(self, *command: object, **env: str) -> Result:
        """Runs a command in a process of its own."""
        done = subprocess.run(
            [str(part) for part in command],
            cwd=self.folder,
            env={**environment(), **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=HANGS,
        )
        return Result(done.returncode, done.stdout)

    def scalars(self, work_dir: str) -> list[dict]:
        """Log records of the last run in a work_dir."""
        (*_, file) = sorted((self.folder / work_dir).glob('*/vis_data/scalars.json'))
        return [json.loads(line) for line in file.read_text().splitlines()]


def environment() -> dict[str, str]:
    """Environment of subprocesses: this interpreter with one thread."""
    # PyTorch 2.6 and newer keep OpenMMLab's MMEngine from its own checkpoints.
    old = digit_version(mmengine.__version__) < digit_version('0.10.8')
    trust = {'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD': '1'} if old else {}
    folder = str(Path(sys.executable).parent)
    path = os.pathsep.join([folder, os.environ.get('PATH', '')])
    return {**os.environ, 'OMP_NUM_THREADS': '1', 'PATH': path, **trust}


def python_path(folder: Path) -> str:
    """Environment of subprocesses that import modules from a folder."""
    return os.pathsep.join([str(folder), os.environ.get('PYTHONPATH', '')])


def write_camvid(root: Path) -> None:
    """A tiny dataset in CamVid's layout whose colors give the classes away."""
    rng = np.random.default_rng(0)
    colors = rng.integers(0, 256, (12, 3))
    for split, number in (('train', 6), ('val', 5)):
        (root / split).mkdir(parents=True)
        (root / f'{split}annot').mkdir()
        for index in range(number):
            label = np.kron(rng.integers(0, 12, (4, 6)), np.ones((16, 16), int))
            noise = rng.integers(-20, 20, (64, 96, 3))
            image = (colors[label] + noise).clip(0, 255)
            for folder, array in ((split, image), (f'{split}annot', label)):
                file = root / folder / f'{index}.png'
                Image.fromarray(array.astype(np.uint8)).save(file)


@pytest.fixture(scope='session')
def bench(tmp_path_factory) -> Workbench:
    """The folder of all runs: data, ``teacher.py`` and ``student.py``."""
    folder = tmp_path_factory.mktemp('runs')
    write_camvid(folder / 'data')
    bench = Workbench(folder)
    for name, width in (('teacher', 12), ('student', 8)):
        text = NETWORK.format(base=BASE, data=folder / 'data', width=width)
        bench.write(f'{name}.py', text)
    return bench


@pytest.fixture(scope='session')
def teacher(bench) -> Result:
    """A trained teacher, in ``work_dirs/teacher``."""
    return bench.run('train.py', 'teacher.py')


@pytest.fixture(scope='session')
def kd(bench, teacher) -> str:
    """Path of a distillation's config; its teacher is trained."""
    checkpoint = bench.folder / 'work_dirs/teacher/iter_4.pth'
    return bench.write('kd.py', DISTILLED.format(checkpoint=checkpoint))


@pytest.fixture(scope='session')
def distilled(bench, kd) -> Result:
    """A distilled student, in ``work_dirs/kd``."""
    return bench.run('train.py', kd)
