import time

from torch import nn

from mmkd.deployment.latency_table import median_latencies, network_size


def test_parameters_and_bytes():
    network = nn.Sequential(nn.Conv2d(1, 1000, 1, bias=False), nn.BatchNorm2d(1000))
    parameters, mebibytes = network_size(network)
    assert parameters == 0.003
    # Running mean and variance as well, and the count of batches.
    assert mebibytes == (5000 * 4 + 8) / 2**20


def test_median_after_a_run_to_warm_up():
    pauses = iter([0.5, 0.01, 0.02, 0.2])
    calls = []
    runs = dict(
        slow=lambda: time.sleep(next(pauses)), quick=lambda: calls.append('quick')
    )
    found = median_latencies(runs, 3)
    assert 20 <= found['slow'] < 100
    assert found['quick'] < 10
    assert len(calls) == 4
