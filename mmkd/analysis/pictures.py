"""Pictures of the predictions of the compared networks."""

from pathlib import Path

from mmengine.config import Config
from mmengine.device import get_device
from torch import nn

from mmkd.datasets.build_dataset import build_dataset
from mmkd.deployment.network import load_network, load_teacher
from mmkd.distillation.taps import num_classes
from mmkd.distillation.teacher_config import split_teachers
from mmkd.errors import UserError
from mmkd.runs.run_directory import RunDirectory
from mmkd.visualization import draw_panel, evenly_spaced, panel_columns, panel_rows

from .comparison import Comparison
from .html_page import Picture
from .registered_types import check_registered


def draw_pictures(
    comparison: Comparison, folder: Path, images: int
) -> tuple[list[Picture], list[str]]:
    """Draw predictions for validation images, one picture per distillation.

    The student is the final checkpoint of the run with the lowest seed.

    Args:
        comparison: Runs with their checkpoints.
        folder: Folder to write the pictures to.
        images: Number of images, evenly spaced among the validation images.

    Returns:
        The pictures, and a reason for each missing picture.
    """
    pictures, reasons = [], []
    for method in comparison.distillations:
        run = comparison.first(method)
        if 'decode_head' not in run.config.model:
            continue  # a classifier
        try:
            pictures.append(_draw(comparison, run, folder, images))
        except UserError as error:
            reasons.append(f'No picture of {comparison.names[method]}: {error}.')
    return pictures, reasons


def _draw(
    comparison: Comparison, run: RunDirectory, folder: Path, images: int
) -> Picture:
    name = comparison.names[run.method]
    check_buildable(run.config)
    baseline = comparison.baseline_runs.get(run.seed)
    networks: dict[str, nn.Module] = {'teacher': (teacher := load_teacher(run.config))}
    if baseline is not None:
        check_buildable(baseline.config)
        networks['baseline'], _ = load_network(
            baseline.config, str(baseline.checkpoint)
        )
    student, _ = load_network(run.config, str(run.checkpoint))
    networks[name] = student
    for network in networks.values():
        network.to(get_device())
    dataset = build_dataset(run.config, 'val')
    teacher.map_classes(dataset.metainfo.get('classes'), num_classes(student))
    rows = list(panel_rows(networks, dataset, evenly_spaced(len(dataset), images)))
    alone = 'baseline' if baseline is not None else None
    path = folder / f'pictures_{name}.png'
    draw_panel(rows, path, panel_columns(dataset.metainfo, name, 'teacher', alone))
    return Picture(path, f'{name}, seed {run.seed}, after the last {run.unit}.')


def check_buildable(config: Config) -> None:
    """Raise a UserError unless a run's config builds only registered classes."""
    for key, teacher in split_teachers(config.get('teacher') or {}).items():
        if 'config' in teacher:
            raise UserError(
                f"{key}.config: '{teacher['config']}' is not read for a report, as a "
                "config is code; train with mmkd, which records the teacher's model"
            )
    for key in ('model', 'data_preprocessor', 'teacher'):
        check_registered({key: config.get(key)})
    dataset = (config.get('val_dataloader') or {}).get('dataset')
    check_registered(dict(val_dataloader=dict(dataset=dataset)))
