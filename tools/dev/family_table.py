"""Write the tables of docs/families.md: every family of networks in both roles.

    python tools/dev/family_table.py                   all; takes about 15 minutes
    python tools/dev/family_table.py knet vgg          only these families

For one config of each family of mmseg and MMPretrain, made small enough for a CPU and
without pretrained weights, one distillation step runs with the network as student, and
one with it as teacher; the other network is a small one. No tap is named. A family
works as student if the distillation loss alone gives its parameters a gradient, and as
teacher if the loss is positive and finite.

Rows of families whose requirements are not installed stay as they are.
"""

import argparse
import copy
import gc
import logging
import re
import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from torch import nn

from mmkd.cli.console import import_packages
from mmkd.distillation import Distiller
from mmkd.distillation.teacher_config import without_pretraining
from mmkd.registry import MODELS

PAGE = Path(__file__).parents[2] / 'docs' / 'families.md'
ROLES = ('student', 'teacher')
LIBRARIES = ('mmseg', 'mmpretrain')
# Side of the images; some networks need larger ones.
SIDES = {'mmseg': 64, 'mmpretrain': 224}
SPECIAL_SIDES = {
    ('mmseg', 'mobilenet_v3'): 512,
    ('mmpretrain', 'lenet'): 32,
    ('mmpretrain', 'swin_transformer_v2'): 256,
}
GRAY = ('lenet',)
# Configs, where the smallest by name is not suitable.
CHOSEN = {
    'san': 'san-vit-b16_coco-stuff164k-640x640.py',
    'swin': 'swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py',
}
WIDE = ('maskformer', 'mask2former')  # except of these families
# Architectures and their widths, in place of ones too large for a test.
ARCHITECTURES = {'eva': ('deit-tiny', 192), 'replknet': ('31B', 1024)}
NO_NETWORKS = ('_base_', 'dsdl')  # folders of configs
# Backbones of mmseg whose widths are divided by 8, to save time.
NARROWED = ('ResNetV1', 'ResNet', 'VisionTransformer', 'BEiT', 'MAE', 'Swin')
OPERATORS = 'the compiled operators of mmcv'
NEEDS = {
    'ccnet': OPERATORS,
    'psanet': OPERATORS,
    'point_rend': OPERATORS,
    'san': OPERATORS,
    'maskformer': 'mmdet',
    'mask2former': 'mmdet',
}
SMALL = 't tiny nano atto xt b0 r18 18 hr18 s small s0 s1 mini r34 r50 50 b base'


@dataclass
class Row:
    """Row of a table: a family, its results by role and the taps compared."""

    family: str
    config: str
    results: dict[str, str]
    taps: dict[str, str]
    needs: str

    def __str__(self) -> str:
        """Return the row in Markdown."""
        taps = ', '.join(f'`{tap}`' for tap in sorted(set(self.taps.values())))
        if ', ' in taps:
            taps = ', '.join(f'`{tap}` ({role})' for role, tap in self.taps.items())
        cells = [self.family, f'`{self.config}`', *self.results.values()]
        return f'| {" | ".join([*cells, taps, self.needs])} |'


def families(library: str) -> dict[str, Path]:
    """Return the smallest config of each family of segmentors or classifiers."""
    found = {}
    package = find_spec(library)
    if not package or not package.origin:
        return {}
    root = Path(package.origin).parent / '.mim' / 'configs'
    for folder in sorted(root.iterdir()):
        if folder.name in NO_NETWORKS or not folder.is_dir():
            continue
        paths = sorted(folder.glob('*.py'), key=_size)
        if library == 'mmseg' and folder.name in CHOSEN:
            paths = [folder / CHOSEN[folder.name]]
        usable = (path for path in paths if library == 'mmseg' or _classifier(path))
        if path := next(usable, None):
            found[folder.name] = path
    return found


def _size(path: Path) -> tuple:
    """Sort key of configs: small networks first, by the usual words in names."""
    small = SMALL.split()
    ranks = [small.index(w) for w in re.split(r'[-_]', path.stem) if w in small]
    other_data = 'cityscapes' not in path.stem and not path.stem.endswith('in1k')
    return min(ranks, default=99), other_data, len(path.name), path.name


def _classifier(path: Path) -> bool:
    """Return True for the config of a classifier for ImageNet."""
    try:
        model = read(path).get('model') or {}
    except RuntimeError:  # a config in Python that inherits one in the other form
        return False
    return model.get('type') == 'ImageClassifier' and bool(model.get('head'))


def read(path: Path) -> Config:
    """Read a config file without the imports that it asks for."""
    return Config.fromfile(path, import_custom_modules=False)


def network(path: Path, library: str, side: int) -> ConfigDict:
    """Return the model of a config, without pretraining and for small images."""
    config = read(path)
    model = _with_bn(without_pretraining(config.model.to_dict()))
    backbone = model.get('backbone') or {}
    if 'img_size' in backbone:
        single = isinstance(backbone['img_size'], int)
        backbone['img_size'] = side if single else (side, side)
    if library == 'mmpretrain':
        model.pop('train_cfg', None)  # mixes labels
        model.pop('data_preprocessor', None)
        if path.parent.name in ARCHITECTURES:
            backbone['arch'], width = ARCHITECTURES[path.parent.name]
            model['head']['in_channels'] = width
        return ConfigDict(model)
    preprocessor = model['data_preprocessor']
    for key in ('size_divisor', 'test_cfg'):
        preprocessor.pop(key, None)
    preprocessor['size'] = (side, side)
    model['test_cfg'] = dict(model.get('test_cfg') or {}, mode='whole')
    wide = path.parent.name in WIDE
    if 'text_encoder' in model:  # runs for each class and template
        model['text_encoder']['num_layers'] = 1
    if str(backbone.get('type')).startswith(NARROWED) and not wide:
        if backbone['type'].startswith('ResNet'):
            backbone |= dict(base_channels=64, stem_channels=64)
        model = _narrow(model)
    return ConfigDict(model)


def _with_bn(node: Any) -> Any:
    """Replace SyncBN, which needs several processes."""
    if isinstance(node, dict):
        return {key: _with_bn(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return type(node)(_with_bn(value) for value in node)
    return 'BN' if node == 'SyncBN' else node


def _narrow(node: Any, key: str = '') -> Any:
    """Divide all widths of a network by 8."""
    if isinstance(node, dict):
        return {key: _narrow(value, key) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return type(node)(_narrow(value, key) for value in node)
    wide = isinstance(node, int) and node > 8 and re.search(r'channels|embed_dim', key)
    return node // 8 if wide else node


def small_network(
    library: str, head: ConfigDict, classes: int, side: int, channels: int
) -> ConfigDict:
    """Return the config of the network on the other side.

    It has sigmoids if the ``head`` of the family has them, because a softmax cannot
    learn from sigmoids.
    """
    losses = head.get('loss_decode') or {}
    single = isinstance(losses, dict)
    sigmoid = head.type == 'CSRAClsHead'  # of several labels per image
    sigmoid = sigmoid or (single and losses.get('use_sigmoid', False))
    backbone = dict(
        type='ResNet',
        depth=18,
        in_channels=channels,
        base_channels=8,
        stem_channels=8,
        norm_cfg=dict(type='BN'),
    )
    width = dict(num_classes=classes, in_channels=64)
    if library == 'mmpretrain':
        return ConfigDict(
            type='ImageClassifier',
            backbone=backbone,
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type=f'{"MultiLabel" if sigmoid else ""}LinearClsHead', **width),
        )
    normalization = dict(mean=[0.0] * 3, std=[1.0] * 3, size=(side, side))
    return ConfigDict(
        type='EncoderDecoder',
        data_preprocessor=dict(type='SegDataPreProcessor', **normalization),
        backbone=backbone,
        decode_head=dict(
            type='FCNHead',
            channels=8,
            num_convs=1,
            loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=sigmoid),
            **width,
        ),
        test_cfg=dict(mode='whole'),
    )


def batch(library: str, classes: int, side: int, channels: int) -> dict:
    """Return a batch of two random images."""
    images = [torch.randint(0, 256, (channels, side, side)).float() for _ in range(2)]
    samples = []
    for label in range(2):
        if library == 'mmpretrain':
            from mmpretrain.structures import DataSample

            samples.append(DataSample().set_gt_label(label))
        else:
            from mmseg.structures import SegDataSample

            sample = SegDataSample(
                gt_sem_seg=PixelData(data=torch.randint(0, classes, (1, side, side))),
                gt_edge_map=PixelData(data=torch.randint(0, 2, (1, side, side))),
            )
            sample.set_metainfo(dict(img_shape=(side, side), ori_shape=(side, side)))
            samples.append(sample)
    inputs = torch.stack(images) if library == 'mmpretrain' else images
    return dict(inputs=inputs, data_samples=samples)


def build(config: ConfigDict) -> nn.Module:
    """Build and initialize a network."""
    model = MODELS.build(copy.deepcopy(config))
    if config.type == 'MultimodalEncoderDecoder':
        # SAN can only be initialized from pretrained weights.
        for parameter in model.parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=0.02)
        model.init_weights = lambda: None
    model.init_weights()
    return model


def step(student: ConfigDict, teacher: ConfigDict, data: dict) -> Distiller:
    """Run one distillation step without named taps; return the Distiller.

    The images serve as labeled and as unlabeled ones.
    """
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = f'{folder}/teacher.pth'
        torch.save(build(teacher).state_dict(), checkpoint)
        distiller = Distiller(
            build(student),
            teacher=dict(model=teacher, checkpoint=checkpoint),
            distill_losses=dict(loss_kd=dict(type='KDLoss')),
            unlabeled={},
        )
        distiller.init_weights()
    distiller.train()
    distiller.unlabeled.batch = copy.deepcopy(data)
    for sample in distiller.unlabeled.batch['data_samples']:
        for label in [key for key, _ in sample.items() if key.startswith('gt_')]:
            delattr(sample, label)
    losses = distiller(**distiller.data_preprocessor(data, True), mode='loss')
    loss = torch.minimum(losses['distill.loss_kd'], losses['unlabeled.loss_kd'])
    (losses['distill.loss_kd'] + losses['unlabeled.loss_kd']).backward()
    gradients = [p.grad for p in distiller.parameters() if p.grad is not None]
    if not loss.isfinite() or loss <= 0 or not any(grad.any() for grad in gradients):
        raise RuntimeError(f'the loss is {loss}, or has no gradient')
    return distiller


def row_of(family: str, path: Path, library: str) -> Row:
    """Run a family in both roles and return its row."""
    row = Row(family, path.stem, {}, {}, NEEDS.get(family, ''))
    side = SPECIAL_SIDES.get((library, family), SIDES[library])
    channels = 1 if family in GRAY else 3
    with DefaultScope.overwrite_default_scope(library):
        for role in ROLES:
            torch.manual_seed(0)
            try:
                model = network(path, library, side)
                if model.type == 'DepthEstimator':
                    row.results[role] = 'no: estimates depth, not classes'
                    continue
                head = last_head(model)
                classes = head.get('num_classes') or model.backbone.num_classes
                small = small_network(library, head, classes, side, channels)
                pair = dict.fromkeys(ROLES, small) | {role: model}
                distiller = step(**pair, data=batch(library, classes, side, channels))
                row.results[role] = 'yes'
                loss = distiller.losses[0]
                tap = dict(student=loss.student_tap, teacher=loss.teacher_taps[0])
                row.taps[role] = tap[role]
            except Exception as error:
                reason = ' '.join(str(error).split()) or type(error).__name__
                row.results[role] = f'no: {reason}'
            gc.collect()  # networks have cycles
    return row


def last_head(model: ConfigDict) -> ConfigDict:
    """Return the config of the head that predicts."""
    head = model.get('decode_head') or model.get('head')
    head = head[-1] if isinstance(head, list) else head
    return head.get('kernel_generate_head', head)


def is_available(family: str) -> bool:
    """Return True if what a family of mmseg needs is installed."""
    needs = NEEDS.get(family)
    if needs and not find_spec('mmcv._ext'):
        return False
    return needs != 'mmdet' or find_spec('mmdet') is not None


def rows(library: str, chosen: Iterable[str] = ()) -> Iterator[Row]:
    """Yield the rows of a library's families that can run here."""
    import_module('mmpretrain.models')  # some of mmseg's families use its backbones
    for family, path in families(library).items():
        if chosen and family not in chosen:
            continue
        if library == 'mmseg' and not is_available(family):
            continue
        yield row_of(family, path, library)


def replace_row(page: str, library: str, row: Row) -> str:
    """Replace a family's row in a library's table of the page, or append it."""
    start = page.index(f'<!-- {library} -->')
    end = page.index(f'<!-- end of {library} -->')
    lines = page[start:end].splitlines()
    kept = [line for line in lines if not line.startswith(f'| {row.family} |')]
    table = [*kept[:3], *sorted([*kept[3:], str(row)])]
    return f'{page[:start]}{chr(10).join(table)}\n{page[end:]}'


def main() -> None:
    """Write the rows of the families named on the command line, or of all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('families', nargs='*', help='default: all')
    args = parser.parse_args()
    import_packages()
    warnings.filterwarnings('ignore')
    logging.disable(logging.WARNING)
    for library in LIBRARIES:
        for row in rows(library, args.families):
            print(row, flush=True)
            page = PAGE.read_text(encoding='utf-8')
            PAGE.write_text(replace_row(page, library, row), encoding='utf-8')


if __name__ == '__main__':
    sys.exit(main())
