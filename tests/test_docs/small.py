"""Trainings of two iterations, on small networks and images, for any config."""

from mmengine.config import Config
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
from yapf.yapflib import yapf_api

CROP, SCALE, WIDTH = (64, 64), (96, 64), 8
SIZES = dict(RandomCrop=('crop_size', CROP), RandomResize=('scale', SCALE))
SIZES |= dict(Resize=('scale', SCALE))
TEACHER = 'r101.pth'  # stands in for what would be downloaded

# What a command gets beside what is written.
ARGUMENTS = {
    'loss.py': ['--size', '32', '64', '--repeats', '1', '--no-compile'],
    'startup.py': ['--images', '10', '--runs', '7', '--repeats', '1'],
    'step.py': ['--size', '64', '--repeats', '1'],
    'cpu_step.py': ['--size', '32', '--images', '2', '--repeats', '1'],
    'teacher.py': ['--size', '64', '--repeats', '1'],
    'street_scenes.py': ['--train', '4', '--val', '2'],
}


def make_small() -> None:
    """Shorten trainings in this process and its forks."""
    read = Config.fromfile

    def fromfile(*args: object, **kwargs: object) -> Config:
        found = read(*args, **kwargs)
        shrink(found._cfg_dict)
        return found

    Config.fromfile = staticmethod(fromfile)
    yapf_api.FormatCode = lambda text, *args, **kwargs: (text, True)  # takes seconds
    leap(IterBasedTrainLoop, 'run_iter', '_iter', 'max_iters')
    leap(EpochBasedTrainLoop, 'run_epoch', '_epoch', 'max_epochs')


def shrink(node: object) -> None:
    """Changes a config in place; what is small already stays."""
    if isinstance(node, list | tuple):
        for item in node:
            shrink(item)
    if not isinstance(node, dict):
        return
    for value in node.values():
        shrink(value)
    if 'num_workers' in node:
        node.update(num_workers=0, persistent_workers=False)
        node['batch_size'] = min(node['batch_size'], 4)
    if node.get('type') in SIZES and 'scale_factor' not in node:
        key, size = SIZES[node['type']]
        node[key] = size
    if 'size' in (node.get('data_preprocessor') or {}):
        node['data_preprocessor']['size'] = CROP
    if str(node.get('checkpoint')).startswith('https://'):
        node['checkpoint'] = TEACHER
    if str(node.get('pretrained')).startswith('open-mmlab://'):
        node['pretrained'] = None
    backbone = node.get('backbone') or {}
    if backbone.get('type') == 'ResNetV1c':
        factor = WIDTH / backbone.get('base_channels', 64)
        backbone.update(base_channels=WIDTH, stem_channels=WIDTH)
        for head in (node['decode_head'], node['auxiliary_head']):
            head.update(in_channels=int(head['in_channels'] * factor), channels=WIDTH)


def leap(loop: type, step: str, counter: str, end: str) -> None:
    """Make a loop continue with its last step after its first."""
    run = getattr(loop, step)

    def run_and_leap(self: object, *args: object) -> None:
        run(self, *args)
        if not getattr(self, 'leapt', False):
            self.leapt = True
            done, last = getattr(self, counter), getattr(self, end) - 1
            setattr(self, counter, max(done, last))

    setattr(loop, step, run_and_leap)
