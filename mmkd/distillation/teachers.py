"""Several frozen teachers by name."""

from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor, nn

from mmkd.errors import UserError

from .class_map import ClassMap
from .taps import ENCODE_DECODE, TapOutputs
from .teacher import Teacher
from .teacher_config import KEY, has_names
from .teacher_mean import average_outputs, common_map
from .teacher_prediction import set_prediction


def build_teacher(
    config: Mapping, student_preprocessor: nn.Module
) -> 'Teacher | Teachers':
    """Build the teacher, or several by name, of a config.

    Args:
        config: Config of one or several teachers; see :func:`inline_teacher`.
        student_preprocessor: Preprocessor of the images that they receive.
    """
    if not has_names(config):
        return Teacher(config, student_preprocessor)
    return Teachers(
        {
            name: Teacher(each, student_preprocessor, f'{KEY}.{name}')
            for name, each in config.items()
        }
    )


class Teachers(nn.Module):
    """Several frozen teachers by name, which also predict together.

    Has the methods of a :class:`Teacher`. Taps are ``<name>.<module>``. The prediction
    is that of :func:`mmkd.functional.average_teachers`, the mean of the probabilities
    of the dataset's classes.

    Args:
        members: The teachers by name.

    Raises:
        UserError: for a name that is also a module of a teacher.
    """

    def __init__(self, members: Mapping[str, Teacher]) -> None:
        super().__init__()
        for name in members:
            for other in members.values():
                if name in (*dict(other.model.named_children()), ENCODE_DECODE):
                    raise UserError(
                        f"{KEY}.{name}: '{name}' is also a module of {other.key}, so "
                        'that a tap would be ambiguous; choose another name'
                    )
        self.names = list(members)
        self.networks = nn.ModuleList(members.values())
        self.eval()

    @property
    def members(self) -> dict[str, Teacher]:
        """The teachers by name."""
        teachers: Iterator = iter(self.networks)
        return dict(zip(self.names, teachers, strict=True))

    @property
    def class_map(self) -> ClassMap | None:
        """Map from the classes that a teacher has to those of the dataset."""
        maps = [each.class_map for each in self.members.values()]
        known = [each for each in maps if each is not None]
        return common_map(known) if len(known) == len(maps) else None

    def map_classes(self, classes: Sequence[str] | None, outputs: int | None) -> None:
        """Map the outputs of each teacher; see :meth:`Teacher.map_classes`."""
        for teacher in self.members.values():
            teacher.map_classes(classes, outputs)

    def check_taps(self, taps: Sequence[str]) -> None:
        """Raise a UserError for taps that a sliding teacher does not have."""
        for name, teacher in self.members.items():
            teacher.check_taps(_taps_of(name, taps))

    def outputs(
        self, inputs: Tensor, taps: Sequence[str], accelerate: bool = True
    ) -> Mapping[str, Tensor]:
        """Return the outputs of taps; see :meth:`Teacher.outputs`.

        A teacher of which no tap is named does not run.
        """
        found = TapOutputs()
        for name, teacher in self.members.items():
            outputs = teacher.outputs(inputs, _taps_of(name, taps), accelerate)
            found.update({f'{name}.{tap}': value for tap, value in outputs.items()})
        return found

    def wait(self, outputs: Mapping[str, Tensor]) -> None:
        """Let the current CUDA stream wait; see :meth:`Teacher.wait`."""
        for name, teacher in self.members.items():
            own = _taps_of(name, list(outputs))
            teacher.wait({tap: outputs[f'{name}.{tap}'] for tap in own})

    def predict(self, inputs: Tensor, data_samples: list | None = None) -> list:
        """Return the common predictions for images preprocessed for the student."""
        samples, _ = self._predict_student_images(inputs, data_samples)
        return samples

    def val_step(self, data: dict) -> list:
        """Return the common predictions for a batch of a dataloader."""
        batches = [
            teacher.model.data_preprocessor(data, False)
            for teacher in self.members.values()
        ]
        samples, _ = self._predict(
            [(batch['inputs'], batch['data_samples']) for batch in batches]
        )
        return samples

    test_step = val_step

    def compared_logits(
        self, inputs: Tensor, data_samples: list, tap: str
    ) -> list[Tensor]:
        """Return the common logits; see :meth:`Teacher.compared_logits`."""
        _, logits = self._predict_student_images(inputs, data_samples)
        return logits

    def _predict_student_images(
        self, inputs: Tensor, data_samples: list | None
    ) -> tuple[list, list[Tensor]]:
        return self._predict(
            [
                (teacher.bridge(inputs), data_samples)
                for teacher in self.members.values()
            ]
        )

    def _predict(
        self, batches: Sequence[tuple[Tensor, list | None]]
    ) -> tuple[list, list[Tensor]]:
        """Predict images, given with their samples for each teacher.

        Returns:
            The samples with the predictions, and the logits of each image.
        """
        members = list(self.members.values())
        found = [
            teacher.predict_logits(*batch)
            for teacher, batch in zip(members, batches, strict=True)
        ]
        samples, _ = found[-1]
        maps, common = [teacher.class_map for teacher in members], self.class_map
        by_image = zip(*(logits for _, logits in found), strict=True)
        means = []
        for sample, logits in zip(samples, by_image, strict=True):
            mean = average_outputs([each[None] for each in logits], maps)
            if common is not None and common.outputs == mean.shape[1]:
                mean = common.spread(mean)
            set_prediction(sample, mean[0])
            means.append(mean[0])
        return samples, means

    def train(self, mode: bool = True) -> 'Teachers':
        """Keep the eval mode for any ``mode``."""
        return super().train(False)

    def __deepcopy__(self, memo: dict) -> 'Teachers':
        return self


def _taps_of(name: str, taps: Sequence[str]) -> list[str]:
    """Return the taps of a teacher without its name."""
    start = f'{name}.'
    return [tap.removeprefix(start) for tap in taps if tap.startswith(start)]
