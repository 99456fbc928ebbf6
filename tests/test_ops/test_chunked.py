import pytest
import torch

from mmkd.ops import DivergenceOptions, chunked

MAPS = torch.full((2, 3, 4, 5), -7.0)


def test_largest_logit():
    assert chunked.largest_logit(MAPS) == 7
    assert chunked.largest_logit(MAPS.to('meta')) == torch.inf  # not looked for


@pytest.mark.parametrize(
    ('largest', 'options', 'bounded'),
    [
        (79.0, dict(), True),
        (80.0, dict(), False),
        (159.0, dict(tau=2.0), True),
        (161.0, dict(tau=2.0), False),
        (39.0, dict(keywords=dict(tau_reverse=0.5, reverse_weight=1.0)), True),
        (41.0, dict(keywords=dict(tau_reverse=0.5, reverse_weight=1.0)), False),
        # The teacher's own temperature: a lower one lowers the limit.
        (39.0, dict(tau_teacher=0.5), True),
        (41.0, dict(tau_teacher=0.5), False),
        (79.0, dict(tau_teacher=2.0), True),
        (81.0, dict(tau_teacher=2.0), False),
        # Standardized logits of 150 classes are at most 12.166.
        (1e9, dict(standardize=True, tau=12.2 / 80), True),
        (0.0, dict(standardize=True, tau=12.1 / 80), False),
    ],
)
def test_is_bounded(largest, options, bounded):
    assert chunked.is_bounded(largest, 150, DivergenceOptions(**options)) is bounded


@pytest.mark.parametrize(
    ('limit', 'expected'), [(1, (1, 1)), (360, (3, 1)), (2000, (8, 2))]
)
@pytest.mark.parametrize('device', ['cpu', 'meta'])
def test_chunk_size(monkeypatch, device, limit, expected):
    """A row of 3 classes times 10 columns has 120 bytes, an image 8 of them."""
    other = dict(cpu='GPU_BYTES', meta='CPU_BYTES')[device]
    for name in ('CPU_BYTES', 'GPU_BYTES'):
        monkeypatch.setattr(chunked, name, 10**9 if name == other else limit)
    assert chunked.chunk_size(MAPS.to(device), (8, 10)) == expected
