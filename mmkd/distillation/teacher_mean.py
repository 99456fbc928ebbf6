"""Mean of the outputs of several teachers."""

from collections.abc import Sequence

from torch import Tensor

from mmkd.functional import average_teachers
from mmkd.functional.resizing import resize_logits
from mmkd.functional.teachers import Mean

from .class_map import ClassMap


def average_outputs(
    outputs: Sequence[Tensor],
    class_maps: Sequence[ClassMap | None],
    mean: Mean = 'probabilities',
    sigmoid: bool = False,
    align_corners: bool = False,
) -> Tensor:
    """Return the average of the logits of several teachers; see `average_teachers`.

    Maps of different sizes are first resized bilinearly to the largest. Outputs that
    are not those of the mapped classes are averaged as they are.

    Args:
        outputs: Logits of each teacher.
        class_maps: Map of each teacher's outputs to the dataset's classes; None or an
            empty map if nothing is known.
        mean: Mean of ``'probabilities'`` or ``'logits'``.
        sigmoid: Each output is a Bernoulli distribution of its own.
        align_corners: Option of the resizing.

    Returns:
        Logits of the classes that at least one teacher has, in the dataset's order.

    Raises:
        ValueError: for outputs that cannot be averaged.
    """
    groups = [
        each.groups
        for output, each in zip(outputs, class_maps, strict=True)
        if each is not None and each.outputs == output.shape[1]
    ]
    size = max((output.shape[2:] for output in outputs), key=lambda size: size.numel())
    resized = [resize_logits(output, size, align_corners) for output in outputs]
    known = groups if len(groups) == len(outputs) else None
    return average_teachers(resized, known, mean, sigmoid)


def common_map(class_maps: Sequence[ClassMap]) -> ClassMap:
    """Return the map of the average's outputs to the dataset's classes.

    Example:
        >>> first, second = ClassMap(((0,), (), ()), 1), ClassMap(((), (), (2,)), 3)
        >>> common_map([first, second])
        ClassMap(groups=((0,), (), (1,)), outputs=2)
    """
    kept = sorted({index for each in class_maps for index in each.kept})
    places = {index: (place,) for place, index in enumerate(kept)}
    total = max(len(each.groups) for each in class_maps)
    return ClassMap(tuple(places.get(index, ()) for index in range(total)), len(kept))
