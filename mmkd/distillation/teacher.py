"""Frozen pretrained teacher."""

import copy
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from mmengine.config import ConfigDict
from mmengine.logging import print_log
from torch import Tensor, nn

from mmkd.checkpoint import load_weights
from mmkd.checkpoint_fit import check_finite, check_fit
from mmkd.errors import UserError
from mmkd.models.programs import load_program
from mmkd.models.torch_network import TorchNetwork
from mmkd.registry import MODELS

from .class_map import ClassMap
from .fast_path import FastPath
from .match_classes import match_classes
from .normalization import NormalizationBridge
from .resolution import Resolution, naming_resolution
from .run_to_logits import run_to_logits
from .side_stream import SideStream
from .taps import TapOutputs, find_tap, num_classes, record
from .teacher_config import FAST, KEY, RESOLUTION
from .teacher_prediction import predict_classes, predict_logits, sample_logits
from .teacher_program import is_program

# What networks raise for an invalid config or a missing package.
BUILD_ERRORS = (
    *(AssertionError, ImportError, KeyError),
    *(RuntimeError, TypeError, ValueError),
)


class Teacher(nn.Module):
    """Frozen pretrained teacher.

    The network is always in eval mode, including dropout, and computes no gradients. It
    runs only as far as its logits: its auxiliary heads, built only to match the
    checkpoint, never run. Deep copies share the same teacher.

    Args:
        config: ``model``, the config of the network, ``checkpoint``, its weights, and
            options such as ``class_map``; see :func:`inline_teacher`. A program is
            network and weights in one.
        student_preprocessor: Preprocessor of the images that the teacher receives; they
            are converted if the teacher expects another normalization.
        key: Its config key, for messages. Default ``'teacher'``.

    Attributes:
        classes: Names of the teacher's classes; None if they are not known.
        class_map: Map from its outputs to the dataset's classes, set by
            :meth:`map_classes`.

    Raises:
        UserError: if the weights are missing, not finite or do not match the network
            exactly.
    """

    def __init__(
        self, config: Mapping, student_preprocessor: nn.Module, key: str = KEY
    ) -> None:
        super().__init__()
        self.key = key
        path = config['checkpoint']
        self.fast_path = FastPath(
            key=key, **{k: config[k] for k in FAST if k in config}
        )
        self.resolution = Resolution(
            key=key, **{k: config[k] for k in RESOLUTION if k in config}
        )
        self.ready = False
        self.stream = SideStream()
        model = copy.deepcopy(dict(config['model']))
        state: dict[str, Tensor] = {}
        meta: dict = {}
        if is_program(model):
            allow_code = model.get('allow_code', False)
            model['module'] = load_program(path, f'{key}.checkpoint', allow_code)
        else:
            prefix = config.get('prefix', '')
            state, meta = load_weights(path, f'{key}.checkpoint', prefix=prefix)
        try:
            self.model = MODELS.build(ConfigDict(model))
        except UserError as error:  # it names a key such as model.module
            raise UserError(f'{key}.{error}') from error
        except BUILD_ERRORS as error:
            reason = ' '.join(f'{type(error).__name__}: {error}'.split())
            raise UserError(
                f'{key}.model, given or that of {key}.config: the network cannot be '
                f'built ({reason}); correct its config, or install what is missing'
            ) from error
        for part in self.model.children():
            if hasattr(part, 'config_key'):
                part.config_key = f'{key}.model'
        if isinstance(self.model, TorchNetwork):
            state = dict(self.model.renamed(state))
        what = f"{key}.checkpoint: '{path}'"
        check_fit(self.model, state, what, prefix_key=f'{key}.prefix')
        check_finite(state, what)
        self.model.load_state_dict(state, strict=False)
        self.model.requires_grad_(False)
        self.bridge = NormalizationBridge(
            student_preprocessor, self.model.data_preprocessor, f'{key}.model'
        )
        # Checkpoints of mmseg before 1.0 have CLASSES instead.
        dataset_meta = meta.get('dataset_meta') or {}
        self.classes = (
            dataset_meta.get('classes')
            or meta.get('CLASSES')
            or getattr(self.model, 'classes', None)
        )
        self.given_map = config.get('class_map')
        self.class_map: ClassMap | None = None
        self.resolution.check(self.model)
        self.reduces_zero_label = config.get(
            'reduce_zero_label', dataset_meta.get('reduce_zero_label')
        )
        self.eval()

    def map_classes(self, classes: Sequence[str] | None, outputs: int | None) -> None:
        """Map the outputs to the dataset's classes, and log a map that is not trivial.

        Args:
            classes: Names of the dataset's classes; None if they are not known.
            outputs: Number of the student's outputs; None if it is not known.

        Raises:
            UserError: for classes that cannot be matched; see :func:`match_classes`.
        """
        ours, theirs = (list(names or ()) for names in (classes, self.classes))
        theirs_count = num_classes(self.model) or len(theirs)
        failure = getattr(self.model, 'failure', '')
        if self.given_map and not theirs_count and failure:
            raise UserError(
                f'{self.key}.model.classes: class_map needs the number of outputs, but '
                f'the network fails on a black image ({failure}); correct it, or, if '
                'it needs another size, list its classes'
            )
        count = outputs or len(ours) or theirs_count
        if not count and self.given_map is None:
            self.class_map = ClassMap((), 0)  # nothing is known, nothing is mapped
            return
        self.class_map, line = match_classes(
            ours,
            theirs,
            (count, theirs_count or count),
            self.given_map,
            f'{self.key}.class_map',
        )
        if line:
            print_log(f'{self.key}: {line}', logger='current')

    @property
    def members(self) -> dict[str, 'Teacher']:
        """This teacher, without a name; see :class:`Teachers`."""
        return {'': self}

    @property
    def plain(self) -> bool:
        """True if the network's own predictions are those of the teacher."""
        mapped = self.class_map is not None and not self.class_map.identity
        return not mapped and not self.resolution.changes

    def check_taps(self, taps: Sequence[str]) -> None:
        """Raise a UserError for taps that a sliding teacher does not have."""
        if self.resolution.slide:
            own = find_tap(self.model, None, f'{self.key}.slide', frozen=True)
            for tap in taps:
                if tap != own:
                    raise UserError(
                        f'{self.key}.slide: windows are merged only for the output '
                        f"'{own}', not for '{tap}'; remove the tap or slide"
                    )

    @torch.no_grad()
    def outputs(
        self, inputs: Tensor, taps: Sequence[str], accelerate: bool = True
    ) -> Mapping[str, Tensor]:
        """Return the outputs of taps for images preprocessed for the student.

        Runs in the teacher's own precision, independent of autocast; without taps the
        network does not run. With :attr:`FastPath.overlap`, the outputs can be used
        after :meth:`wait`.

        Args:
            inputs: (N, C, H, W).
            taps: Names of the taps.
            accelerate: Apply the options of :class:`FastPath` on the first such batch.
                Default True.
        """
        if not taps:
            return {}
        beside = self.fast_path.overlap and inputs.is_cuda and accelerate and self.ready
        stream = self.stream.fork(inputs.device) if beside else nullcontext()
        with stream, torch.autocast(inputs.device.type, enabled=False):
            images = self.resolution.resize(self.bridge(inputs))
            with naming_resolution(self.model, images, self.key):
                if accelerate and not self.ready:
                    self.ready = True
                    part = self.resolution.window(self.model, images)
                    self.model, report = self.fast_path.apply(self.model, part, taps)
                    print_log(report, logger='current')
                return self._outputs(images, taps)

    def wait(self, outputs: Mapping[str, Tensor]) -> None:
        """Let the current CUDA stream wait for :meth:`outputs`, where it has to."""
        self.stream.join(outputs.values())

    def _outputs(self, images: Tensor, taps: Sequence[str]) -> TapOutputs:
        """Return the outputs of taps for images preprocessed for the teacher."""
        if self.fast_path.graphs:
            torch.compiler.cudagraph_mark_step_begin()
        outputs = self._run(images, taps)
        if self.fast_path.graphs:  # whose next run overwrites them
            outputs.update({tap: output.clone() for tap, output in outputs.items()})
        return outputs

    def _run(self, images: Tensor, taps: Sequence[str]) -> TapOutputs:
        if not self.resolution.slide:
            with record(self.model, taps) as outputs:
                run_to_logits(self.model, images, taps)
            return outputs
        metas = [dict(ori_shape=images.shape[2:])] * len(images)
        logits = self.resolution.logits(self.model, images, metas)
        outputs = TapOutputs()
        outputs.update(dict.fromkeys(taps, logits))
        return outputs

    def predict(self, inputs: Tensor, data_samples: list | None = None) -> list:
        """Return the predictions for images preprocessed for the student."""
        return self._predict(self.bridge(inputs), data_samples)

    def val_step(self, data: dict) -> list:
        """Return the predictions for a batch of a dataloader."""
        data = self.model.data_preprocessor(data, False)
        return self._predict(data['inputs'], data['data_samples'])

    test_step = val_step

    def compared_logits(
        self, inputs: Tensor, data_samples: list, tap: str
    ) -> list[Tensor]:
        """Return the logits of each image over the dataset's classes.

        Those of a segmentor are at the size of the label.

        Args:
            inputs: Images preprocessed for the student.
            data_samples: Their samples.
            tap: Module that outputs a classifier's logits.
        """
        with record(self.model, [tap]) as taps:
            samples = self.predict(inputs, data_samples)
        if not self.plain:
            taps.of_masks.clear()  # the predictions are logits
        logits = sample_logits(samples, taps, tap)
        if self.class_map is not None and 'seg_logits' not in samples[0]:
            return list(self.class_map.spread(torch.stack(logits)))
        return logits

    @torch.no_grad()
    def predict_logits(
        self, images: Tensor, data_samples: list | None
    ) -> tuple[list, list[Tensor]]:
        """Return samples and logits over the network's own classes.

        Args:
            images: Images preprocessed for the teacher.
            data_samples: Their samples.
        """
        with torch.autocast(images.device.type, enabled=False):
            return predict_logits(self.model, images, data_samples, self.resolution)

    @torch.no_grad()
    def _predict(self, images: Tensor, data_samples: list | None) -> list:
        """Predict the dataset's classes at the teacher's own resolution."""
        with torch.autocast(images.device.type, enabled=False):
            return predict_classes(
                self.model, images, data_samples, self.resolution, self.class_map
            )

    def _apply(self, *args: Any, **kwargs: Any) -> 'Teacher':
        """Apply a change of device to the teacher's preprocessor, too."""
        super()._apply(*args, **kwargs)
        self.model._set_device(self.bridge.scale.device)
        return self

    def train(self, mode: bool = True) -> 'Teacher':
        """Keep the eval mode for any ``mode``."""
        return super().train(False)

    def __deepcopy__(self, memo: dict) -> 'Teacher':
        return self
