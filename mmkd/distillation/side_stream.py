"""CUDA stream on which a network runs beside the current stream."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


class SideStream:
    """CUDA stream whose work runs at the same time as that of the current stream.

    The work begins when what the current stream has to do so far is done. Its results
    may be used after :meth:`join`.
    """

    def __init__(self) -> None:
        self._stream: torch.cuda.Stream | None = None
        self._forked = False

    @contextmanager
    def fork(self, device: torch.device) -> Iterator[None]:
        """Run the work of the context on this stream.

        What it reads must not be changed before :meth:`join`.
        """
        if self._stream is None:
            self._stream = torch.cuda.Stream(device)
        self._stream.wait_stream(torch.cuda.current_stream(device))
        self._forked = True
        with torch.cuda.stream(self._stream):
            yield

    def join(self, results: Iterable[Tensor]) -> None:
        """Let the current stream wait for the work, if there is any.

        Args:
            results: Its results, whose memory is not reused while the current stream
                reads them.
        """
        if self._stream is None or not self._forked:
            return
        current = torch.cuda.current_stream(self._stream.device)
        current.wait_stream(self._stream)
        for tensor in results:
            tensor.record_stream(current)
        self._forked = False
