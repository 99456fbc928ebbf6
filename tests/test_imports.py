import re
import subprocess
import sys
from pathlib import Path

from tests.conftest import HANGS

SCRIPT = Path(__file__).with_name('import_effects.py')


def run(setup=''):
    """Run the script in a fresh process; returns the lines that it prints."""
    code = (
        f'import runpy\n{setup}\nrunpy.run_path({str(SCRIPT)!r}, run_name="__main__")'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, timeout=HANGS
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip().splitlines()


def test_importing_mmkd_has_no_effect_on_other_packages():
    """Classes, modules and registries are unchanged, except for names of mmkd."""
    *changes, last = run()
    assert changes == []
    assert int(re.fullmatch(r'imported (\d+) modules', last)[1]) > 80


def test_effects_are_found():
    """Such as a module of mmkd could have."""
    setup = """
import sys

class Finder:
    def find_spec(name, path, target=None):
        if name == 'mmkd.errors':
            sys.meta_path.remove(Finder)
            apply_effects()

def apply_effects():
    import os
    import torch
    from mmengine import hooks, registry, runner
    os.environ['MMKD'] = '1'
    torch.serialization.add_safe_globals([print])
    torch.nn.Module.extra = None
    torch.nn.Module.forward = None
    hooks.CheckpointHook.before_train = None
    registry.HOOKS.register_module('CheckpointHook', True, hooks.EMAHook)
    registry.HOOKS.register_module('NewHook', True, hooks.EMAHook)
    runner.CheckpointLoader._schemes['mmkd://'] = None

sys.meta_path.insert(0, Finder)
"""
    *changes, _ = run(setup)
    assert set(changes) >= {
        'process environment',
        'process safe globals',
        'torch.nn.modules.module.Module extra',
        'torch.nn.modules.module.Module forward',
        'mmengine.hooks.checkpoint_hook.CheckpointHook before_train',
        'mmengine::hook CheckpointHook',
        'mmengine::hook NewHook',
        'mmengine.runner.checkpoint.CheckpointLoader _schemes',
    }
