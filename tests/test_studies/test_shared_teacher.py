import torch

from studies.shared_teacher import SharedOutputs
from tests.test_distillation.test_unlabeled import images, start  # noqa: F401

TAP = 'decode_head.conv_seg'


def test_each_batch_is_calculated_once(tmp_path):
    calculated = []

    def calculate(inputs, taps):
        calculated.append(len(inputs))
        return dict.fromkeys(taps, inputs * 2)

    batch = torch.rand(2, 3, 4, 4)
    for _ in range(2):  # the first batch of each training in any case
        shared = SharedOutputs(calculate, tmp_path / 'outputs')
        for _ in range(2):
            assert torch.equal(shared(batch, [TAP])[TAP], batch * 2)
    assert calculated == [2, 2]
    nchw = batch.to(memory_format=torch.channels_last)
    assert torch.equal(shared(nchw, [TAP])[TAP], batch * 2)
    assert calculated == [2, 2]
    shared(batch, [TAP, 'backbone'])
    shared(batch[:1], [TAP])
    shared(batch + 1, [TAP])
    assert calculated == [2, 2, 2, 1, 2]
    assert len([*(tmp_path / 'outputs').iterdir()]) == 4


def test_result_is_the_same(start, distiller_config, tmp_path):  # noqa: F811
    """Of a training that calculates the outputs, and one with other losses after it."""
    hook = dict(type='studies.shared_teacher.SharedTeacherHook')
    loss = distiller_config['distill_losses']['loss_kd']

    def train(name, divergence, hooks):
        loss['divergence'] = divergence
        runner, _ = start(name, changes=dict(custom_hooks=hooks))
        return runner.model

    def written():
        paths = tmp_path.rglob('outputs/*/*')
        return {(path, path.stat().st_mtime_ns) for path in paths}

    train('first', 'ForwardKL', [hook])
    files = written()
    assert len(files) == 16  # of eight batches of each stream
    distiller_config['distill_losses']['loss_cwd'] = dict(type='CWDLoss')
    shared = train('shared', 'ReverseKL', [hook]).state_dict()
    plain = train('plain', 'ReverseKL', []).state_dict()
    assert all(torch.equal(shared[name], plain[name]) for name in plain)
    assert len(files - written()) == 1  # the first one, calculated again
    distiller_config['teacher']['precision'] = 'bf16'
    for name in ('bf16', 'again'):
        teacher = train(name, 'ReverseKL', [hook]).teacher
        assert {each.dtype for each in teacher.model.parameters()} == {torch.bfloat16}
        assert len(written()) == 32
