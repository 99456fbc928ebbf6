"""Loss, teacher, step and a short training, as far as they fit into eight minutes.

python benchmarks/all.py --device cuda
python benchmarks/all.py                   # on a CPU: smaller sizes, a shorter training

Needs no data and no checkpoint: networks have random weights, and without CamVid in
``--data``, the training reads random images of its size. On a GPU it distills
PSPNet-R101 to PSPNet-R18 with batches of 16, on a CPU the small pair with batches of 2.
"""

import argparse
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch
from measuring import has_bf16, machine_of, parser_of, report, silence
from mmengine.config import Config
from pair import CONFIGS, network_of
from PIL import Image

from mmkd.distillation.stopwatch import LOSSES, PARTS, TEACHER
from mmkd.origin import version as mmkd_version
from mmkd.runs.run_directory import RunDirectory

FOLDER = Path(__file__).parent
# Sizes that fit into the time; of the training, config, iterations and batch size.
SCRIPTS = dict(
    cuda=dict(loss=['--no-compile'], teacher=[], step=[]),
    cpu=dict(
        loss=['--no-compile', '--size', '128', '256'],
        teacher=['--size', '128'],
        step=['--size', '128'],
    ),
)
R101 = 'bdd-ls_pspnet_r101-d8_pspnet_r18-d8_1xb16-40k_camvid-360x360'
SMALL = 'bdd-ls_pspnet_r18half-d8_pspnet_r18quarter-d8_1xb8-400_camvid-240x240'
PAIRS = dict(cuda=(R101, 200, 16), cpu=(SMALL, 20, 2))
SIZE, IMAGES, CLASSES = (360, 480), 32, 11  # of the random images


def options_of(device: str) -> dict[str, dict]:
    """Return the options of each training by name."""
    if device == 'cpu':
        return {'fp32': {}}
    amp = {
        'optim_wrapper.type': 'AmpOptimWrapper',
        'optim_wrapper.dtype': 'bfloat16' if has_bf16(device) else 'float16',
    }
    return {
        'fp32': {},
        'AMP': amp,
        'AMP, overlapped teacher': {**amp, 'teacher.overlap': True},
        'AMP, teacher as CUDA graph': {**amp, 'teacher.compile': 'cudagraphs'},
    }


def write_images(folder: Path) -> Path:
    """Write random images and labels in CamVid's layout."""
    random = np.random.default_rng(0)
    for name, shape, most in (
        ('train', (*SIZE, 3), 256),
        ('trainannot', SIZE, CLASSES),
    ):
        (folder / name).mkdir(parents=True)
        for index in range(IMAGES):
            array = random.integers(0, most, shape, dtype=np.uint8)
            Image.fromarray(array).save(folder / name / f'{index}.png')
    return folder


def write_config(folder: Path, args: argparse.Namespace) -> Path:
    """Write the config of the training, and random weights of its teacher."""
    name, iterations, batch_size = PAIRS[args.device]
    config = Config.fromfile(CONFIGS.parent / 'bdd_ls' / f'{name}.py')
    torch.manual_seed(0)
    weights = folder / 'teacher.pth'
    teacher = network_of(Path(config.teacher.config))
    torch.save(dict(state_dict=teacher.state_dict()), weights)
    config.teacher.checkpoint = str(weights)
    config.model.pretrained = None
    config.randomness = dict(seed=0)
    loader = config.train_dataloader
    loader.batch_size = batch_size
    loader.dataset.data_root = str(
        args.data if args.data.is_dir() else write_images(folder / 'images')
    )
    for part in ('dataloader', 'cfg', 'evaluator'):
        config[f'val_{part}'] = config[f'test_{part}'] = None
    config.train_cfg.max_iters = args.iterations or iterations
    config.default_hooks.logger.interval = 1
    config.log_processor.window_size = 1
    path = folder / 'training.py'
    config.dump(path)
    return path


def train(config: Path, options: dict, folder: Path, seconds: float) -> dict:
    """Train in a process of its own; return the medians of its times in ms."""
    settings = [f'{key}={value}' for key, value in options.items()]
    command = [sys.executable, '-m', 'mmkd.cli', 'train', str(config)]
    command += ['--work-dir', str(folder)]
    if settings:
        command += ['--cfg-options', *settings]
    run(command, seconds, stdout=subprocess.DEVNULL)
    directory = RunDirectory(folder)
    names = dict(iteration='time', data='data_time')
    names |= {part: f'time_{part}' for part in PARTS}
    found = {key: 1000 * (directory.median(name) or 0) for key, name in names.items()}
    found['distillation, %'] = (
        100 * (found[TEACHER] + found[LOSSES]) / found['iteration']
    )
    return {f'{key}, ms' if key in names else key: x for key, x in found.items()}


def run(command: list[str], seconds: float, **options: int) -> None:
    """Run a command; raise an exception if it fails or takes too long."""
    subprocess.run(command, check=True, timeout=max(1.0, seconds), **options)


def describe(device: str) -> str:
    """Return the machine and the versions in a line."""
    texts = [f'{name} {value}' for name, value in machine_of(device).items()]
    if device != 'cpu':
        major, minor = torch.cuda.get_device_capability()
        texts.append(f'sm_{major}{minor}, CUDA {torch.version.cuda}')
        texts.append(f'cuDNN {torch.backends.cudnn.version()}')
    for package in ('triton', 'onedl-mmengine', 'mmengine'):
        try:
            texts.append(f'{package} {version(package)}')
        except PackageNotFoundError:
            continue
    return ', '.join([*texts, f'mmkd {mmkd_version()}', platform.platform()])


def main() -> None:
    """Run the benchmarks that fit into the time."""
    parser = parser_of(__doc__)
    parser.add_argument('--minutes', type=float, default=8.0, help='stop after these')
    parser.add_argument('--data', type=Path, default=Path('data/camvid'))
    parser.add_argument('--iterations', type=int, help='of the training')
    parts = [*SCRIPTS['cuda'], 'training']
    parser.add_argument('--parts', nargs='+', choices=parts, default=parts)
    args = parser.parse_args()
    silence()
    end = time.monotonic() + 60 * args.minutes
    print(describe(args.device), flush=True)
    failed = []
    for name, options in SCRIPTS[args.device].items():
        if name not in args.parts:
            continue
        script = [sys.executable, str(FOLDER / f'{name}.py'), *options]
        given = ['--device', args.device, '--out', str(args.out)]
        given += ['--repeats', str(args.repeats)]
        try:
            run([*script, *given], end - time.monotonic())
        except subprocess.SubprocessError as error:
            failed.append(f'{name}: {error}')
    if 'training' in args.parts:
        rows = []
        with tempfile.TemporaryDirectory() as folder:
            config = write_config(Path(folder), args)
            for name, settings in options_of(args.device).items():
                work_dir = Path(folder, f'run_{len(rows)}_{len(failed)}')
                try:
                    left = end - time.monotonic()
                    rows.append(
                        {'training': name, **train(config, settings, work_dir, left)}
                    )
                except subprocess.SubprocessError as error:
                    failed.append(f'training, {name}: {error}')
        if rows:
            name, iterations, batch_size = PAIRS[args.device]
            title = (
                f'{name}, {args.iterations or iterations} iterations of {batch_size}'
            )
            report('training', title, rows, args)
    seconds = 60 * args.minutes - (end - time.monotonic())
    print(f'{seconds:.0f} s on {describe(args.device)}')
    sys.exit('\n'.join(failed) or None)  # a text is printed, and the status is 1


if __name__ == '__main__':
    main()
