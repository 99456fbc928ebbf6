"""Precision and layout on a CPU, and memory that the process keeps."""

import os
import subprocess
import sys

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import nn

import mmkd
from mmkd.checkpoint import load_safely
from mmkd.engine import freed_pages
from mmkd.engine.cpu_amp import (
    CpuAmpOptimWrapper,
    bf16_is_emulated,
    warn_of_emulation,
)
from mmkd.engine.hooks import SpeedHook, speed_hook
from mmkd.engine.speed import Speed, choose, measure
from mmkd.errors import UserError
from tests.conftest import build, build_runner, network, random_batch
from tests.test_distillation.test_distill_hook import Images

PLAIN, LAYOUT = Speed(), Speed(channels_last=True)
HALF, BOTH = Speed('bfloat16'), Speed('bfloat16', True)
ADAMW = dict(optimizer=dict(type='AdamW', lr=0.01), clip_grad=dict(max_norm=1.0))


class Stop(Hook):
    """End a run after two iterations as a crash would."""

    def before_train_iter(self, runner, *args, **kwargs):
        if runner.iter == 2:
            raise InterruptedError


@pytest.fixture
def start(distiller_config, tmp_path):
    """Starts a training; ``distilled`` adds a teacher to its network."""

    def start(name, distilled=True, speed=None, stop=False, wrapper=ADAMW, **changes):
        arguments = dict(
            work_dir=str(tmp_path / name),
            train_dataloader=dict(
                dataset=Images(),
                batch_size=2,
                sampler=dict(type='DefaultSampler', shuffle=True),
                collate_fn=dict(type='pseudo_collate'),
            ),
            train_cfg=dict(by_epoch=False, max_iters=4),
            optim_wrapper=dict(wrapper),
            param_scheduler=dict(type='PolyLR', end=4, by_epoch=False),
            default_hooks=dict(
                checkpoint=dict(type='CheckpointHook', interval=2, by_epoch=False)
            ),
            log_processor=dict(by_epoch=False),
            randomness=dict(seed=3),
            experiment_name=f'{tmp_path.name}_{name}_{len(os.listdir(tmp_path))}',
            custom_hooks=[Stop()] if stop else None,
            **changes,
        )
        if distilled:
            keys = {**distiller_config, 'speed': speed}
            runner = build_runner(keys, **arguments)
        else:
            scope = dict(default_scope='mmseg', cfg=dict(speed=speed))
            runner = mmkd.Runner(dict(network()), **scope, **arguments)
        runner.train()
        return load_safely(tmp_path / name / 'iter_4.pth')

    return start


def check_same(one, other):
    """Check that weights, statistics and optimizers of two runs are bit-identical."""
    tensors = [
        list(checkpoint['state_dict'].values())
        + [v for s in checkpoint['optimizer']['state'].values() for v in s.values()]
        for checkpoint in (one, other)
    ]
    assert len(tensors[0]) > 100
    for a, b in zip(*tensors, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ('chosen', 'distilled'),
    [(PLAIN, True), (LAYOUT, False), (HALF, False), (BOTH, True)],
)
def test_auto_is_the_run_with_its_choice(start, monkeypatch, chosen, distilled):
    monkeypatch.setattr(speed_hook, 'choose', lambda times: chosen)
    auto = start('auto', distilled, 'auto')
    given = dict(amp=chosen.amp, channels_last=chosen.channels_last)
    check_same(auto, start('given', distilled, given))
    assert auto['meta']['speed'] == given
    weight = auto['state_dict']['backbone.layer1.0.conv1.weight']
    nhwc = weight.is_contiguous(memory_format=torch.channels_last)
    assert nhwc == chosen.channels_last
    plain = start('plain', distilled)
    if chosen == PLAIN:
        check_same(auto, plain)
    else:
        with pytest.raises(AssertionError):
            check_same(auto, plain)


def test_a_resumed_run_keeps_the_choice(start, monkeypatch, capfd):
    monkeypatch.setattr(speed_hook, 'choose', lambda times: BOTH)
    whole = start('whole', speed='auto')
    with pytest.raises(InterruptedError):
        start('cut', speed='auto', stop=True)
    monkeypatch.setattr(speed_hook, 'choose', lambda times: pytest.fail('again'))
    capfd.readouterr()
    check_same(whole, start('cut', speed='auto', resume=True))
    assert f'speed: {BOTH}, as before the resume' in capfd.readouterr().out


def test_the_choice_is_logged_with_times(start, capfd):
    chosen = Speed(**start('auto', speed='auto')['meta']['speed'])
    (line,) = [x for x in capfd.readouterr().out.splitlines() if ' speed: ' in x]
    assert f'speed: {chosen}, chosen by a step of the network: ' in line
    for candidate in (PLAIN, LAYOUT):
        assert f' ms with {candidate}' in line
    for candidate in (HALF, BOTH):
        assert (f' ms with {candidate}' in line) != bf16_is_emulated()


def test_emulated_bf16_is_warned_of_once(start, capfd):
    warn_of_emulation.cache_clear()
    for name in ('one', 'another'):
        start(name, distilled=False, speed=dict(amp='bfloat16'))
    assert capfd.readouterr().out.count('no bf16 instr') == bf16_is_emulated()


def test_with_amp_only_the_layout_is_chosen(start, capfd):
    start('auto', speed='auto', wrapper=dict(ADAMW, type='mmkd.CpuAmpOptimWrapper'))
    (line,) = [x for x in capfd.readouterr().out.splitlines() if ' speed: ' in x]
    assert line.count(' ms with ') == 2
    assert f' ms with {HALF}' in line
    assert f' ms with {BOTH}' in line


def test_no_effect_on_a_gpu(start, monkeypatch, capfd):
    monkeypatch.setattr(speed_hook, 'get_device', lambda: 'cuda')
    check_same(start('given', speed=dict(channels_last=True)), start('plain'))
    assert 'speed: it has no effect on a GPU' in capfd.readouterr().out


@pytest.mark.parametrize(
    ('value', 'error'),
    [
        ('fast', r"^speed: 'fast' is invalid; set it to 'auto', to dict\(amp='bf"),
        (True, r'^speed: True is invalid'),
        (dict(amp='fp16'), r"^speed\.amp: 'fp16' is invalid; set it to 'bfloat16'"),
        (dict(channels_last=1), r'^speed\.channels_last: 1 is neither True nor False'),
        (dict(layout='NHWC'), r'^speed\.layout: unknown key; use amp or channels_last'),
    ],
)
def test_invalid_values(start, value, error):
    with pytest.raises(UserError, match=error):
        start('run', speed=value)


class OtherWrapper(OptimWrapper):
    """A type of the user's."""


def test_other_optimizer_wrappers():
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), 0.1)
    for given, wrapper, error in (
        (dict(amp='bfloat16'), OtherWrapper(optimizer), r'^speed\.amp: .*OtherWrapper'),
        ('auto', OptimWrapperDict(a=OptimWrapper(optimizer)), "^speed: 'auto' needs"),
    ):

        class Run:
            network = nn.Linear(1, 1)
            optim_wrapper = wrapper

        with pytest.raises(UserError, match=error):
            SpeedHook(given).before_train_iter(Run(), 0)


def test_a_layer_without_bf16():
    """Only float32 is measured; an error in float32 is the user's to see."""
    model = build(network())

    def refuse(module, inputs, output):
        if output.dtype in (torch.bfloat16, refused):
            raise RuntimeError('not implemented for BFloat16')

    refused = None
    model.backbone.layer1[0].conv1.register_forward_hook(refuse)
    candidates = [PLAIN, HALF, LAYOUT]
    assert list(measure(model, random_batch(), candidates)) == [PLAIN, LAYOUT]
    refused = torch.float32
    with pytest.raises(RuntimeError, match='not implemented'):
        measure(model, random_batch(), candidates)


@pytest.mark.parametrize(
    ('seconds', 'chosen'),
    [
        ([1.0, 0.95, 0.93, 0.91], PLAIN),
        ([1.0, 0.90, 0.85, 0.82], LAYOUT),
        ([1.0, 0.80, 0.50, 0.46], HALF),
        ([1.0, 0.80, 0.50, 0.45], BOTH),
        ([1.0, 1.20, 4.00, 3.00], PLAIN),
    ],
)
def test_a_choice_needs_a_clear_margin(seconds, chosen):
    times = zip([PLAIN, LAYOUT, HALF, BOTH], seconds, strict=True)
    assert choose(dict(times)) == chosen


def test_an_optimizer_wrapper_that_is_not_enabled():
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), 0.1)
    for enabled in (True, False):
        wrapper = CpuAmpOptimWrapper(optimizer, enabled=enabled)
        with wrapper.optim_context(nn.Linear(1, 1)):
            assert torch.is_autocast_enabled('cpu') == enabled


FAULTS = """
import resource, sys
import torch
from mmkd.engine.freed_pages import keep_freed_pages
kept = keep_freed_pages()
def fill():
    for size in (1, 3, 7) * 5:  # MiB
        torch.zeros(size, 2**18).add_(1)
fill()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
fill()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != 'linux', reason='glibc')
def test_freed_pages_are_not_taken_again():
    """Without it, the 55 MiB of three sizes are 14,000 pages or more."""
    counts = {}
    clean = {k: v for k, v in os.environ.items() if not k.startswith('MALLOC_')}
    for own in ({}, dict(MALLOC_MMAP_THRESHOLD_='131072')):
        command = [sys.executable, '-c', FAULTS]
        done = subprocess.run(
            command, env={**clean, **own}, capture_output=True, text=True, check=True
        )
        kept, faults = done.stdout.split()
        counts[kept] = int(faults)
    assert counts['True'] < 500
    assert counts['False'] > 10_000


@pytest.mark.parametrize(
    ('name', 'value'),
    [
        ('MALLOC_ARENA_MAX', '2'),
        ('MALLOC_CONF', 'dirty_decay_ms:-1'),
        ('GLIBC_TUNABLES', 'glibc.malloc.trim_threshold=1'),
    ],
)
def test_variables_of_the_user_win(monkeypatch, name, value):
    monkeypatch.setattr(freed_pages, 'ctypes', None)  # nothing is called
    monkeypatch.setenv(name, value)
    assert not freed_pages.keep_freed_pages()


class Library:
    """Another C library, or another allocator."""

    def __init__(self, name):
        self.name = name

    @property
    def malloc(self):
        return freed_pages.ctypes.CFUNCTYPE(None)(print)


@pytest.mark.parametrize('platform', ['linux', 'darwin', 'win32'])
@pytest.mark.parametrize('error', [None, OSError])
def test_other_allocators_are_left_alone(monkeypatch, platform, error):
    def load(name):
        if error and name:
            raise error
        return Library(name)

    for name in [name for name in os.environ if name.startswith('MALLOC_')]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(freed_pages.ctypes, 'CDLL', load)
    monkeypatch.setattr(freed_pages.sys, 'platform', platform)
    assert not freed_pages.keep_freed_pages()
