"""Pictures of what a study's networks predict."""

from collections.abc import Iterator
from pathlib import Path

from mmengine.device import get_device
from torch import nn

from mmkd.datasets.build_dataset import build_dataset
from mmkd.deployment.network import load_student, load_teacher
from mmkd.errors import UserError
from mmkd.visualization import comparison, draw_panel, panel_rows, spread

from .history import History
from .page import Picture
from .study import Study


def draw_pictures(
    study: Study, folder: Path, images: int
) -> tuple[list[Picture], list[str]]:
    """Draws validation images for each distillation: its first seed's last student.

    Args:
        study: The runs, with their checkpoints.
        folder: Where the pictures are written.
        images: How many, at even distances through the validation images.

    Returns:
        The pictures, and for each that there cannot be the reason.
    """
    pictures, reasons = [], []
    for method in study.distillations:
        run = study.first(method)
        if 'decode_head' not in run.config.model.student:
            continue  # a classifier
        try:
            pictures += _draw(study, run, folder, images)
        except UserError as error:
            reasons.append(f'No picture of {study.names[method]}: {error}.')
    return pictures, reasons


def _draw(study: Study, run: History, folder: Path, images: int) -> Iterator[Picture]:
    name = study.names[run.method]
    lone = study.runs.get(study.baseline, {}).get(run.seed)
    networks: dict[str, nn.Module] = {'teacher': load_teacher(run.config, needed=True)}
    if lone is not None:
        networks['alone'], _ = load_student(lone.config, str(lone.checkpoint))
    networks[name], _ = load_student(run.config, str(run.checkpoint))
    for network in networks.values():
        network.to(get_device())
    dataset = build_dataset(run.config, 'val')
    rows = list(panel_rows(networks, dataset, spread(len(dataset), images)))
    alone = 'alone' if lone is not None else None
    path = folder / f'pictures_{name}.png'
    draw_panel(rows, path, comparison(dataset.metainfo, name, 'teacher', alone))
    yield Picture(path, f'{name}, seed {run.seed}, after the last {run.unit}.')
