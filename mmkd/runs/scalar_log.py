"""Scalars logged by a run, read as a stream."""

import json
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

PLACE = ('step', 'iter', 'epoch')


class ScalarLog:
    """Numbers in the ``scalars.json`` files of a run's attempts.

    Training scalars are stored as columns of numbers, since there may be hundreds of
    thousands of lines. Lines that are not JSON objects, such as one truncated by a
    kill, and values that are not numbers are skipped.

    Args:
        files: Files of the attempts in order. A later attempt replaces all values from
            its first one on: of a resumed run those after the checkpoint, of a run that
            is started anew all of them.

    Attributes:
        validations: Metrics by iteration or epoch.
        last: ``step``, ``iter`` and ``epoch`` of the last record, if present; empty
            without a record.
    """

    def __init__(self, files: Iterable[Path]) -> None:
        self.validations: dict[int, dict[str, float]] = {}
        self.last: dict[str, int] = {}
        self._iterations = array('q')  # iteration of each training line
        # Line numbers and values of each scalar.
        self._columns = defaultdict[str, tuple[array, array]](
            lambda: (array('I'), array('d'))
        )
        starts = []  # number of lines before each attempt
        for file in files:
            starts.append(len(self._iterations))
            earlier, self.validations = self.validations, {}
            first = None
            for record in _records(file):
                place = self._add(record)
                if first is None and place:
                    first = place.get('epoch', place.get('iter', place.get('step')))
            kept = {s: v for s, v in earlier.items() if first is None or s < first}
            self.validations = kept | self.validations
        self.validations = dict(sorted(self.validations.items()))
        lines = np.array(self._iterations, dtype=np.int64)
        for start in starts:
            replaced = lines[:start] >= lines[start : start + 1].min(initial=2**63 - 1)
            lines[:start][replaced] = -1
        # Keep the last line of each iteration.
        index = np.flatnonzero(lines >= 0)[::-1]
        self.iterations, found = np.unique(lines[index], return_index=True)
        self._lines = index[found]

    def _add(self, record: dict) -> dict[str, int]:
        """Add a record; return its place, which is empty if it is skipped."""
        place = {key: record[key] for key in PLACE if _is_integer(record.get(key))}
        numbers = {
            key if key.isascii() else _clean(key): float(value)
            for key, value in record.items()
            if type(value) is float or _is_integer(value)
        }
        if 'iter' in place:
            line = len(self._iterations)
            self._iterations.append(place['iter'])
            for name, value in numbers.items():
                lines, values = self._columns[name]
                lines.append(line)
                values.append(value)
        elif 'step' in place and 'iter' not in record:
            self.validations.setdefault(place['step'], {}).update(numbers)
        else:
            return {}
        self.last = place
        return place

    @property
    def names(self) -> list[str]:
        """Names of the training scalars."""
        return list(self._columns)

    def column(self, name: str) -> np.ndarray:
        """Return a training scalar at each of ``iterations``; NaN if not logged."""
        values = np.full(len(self._iterations), np.nan)
        if name in self._columns:
            lines, logged = self._columns[name]
            values[np.array(lines)] = logged
        return values[self._lines]


def _records(file: Path) -> Iterator[dict]:
    """Yield the JSON objects of a file, one per line."""
    with file.open(encoding='utf-8', errors='replace') as lines:
        for line in lines:
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(record, dict):
                yield record


def _is_integer(value: object) -> bool:
    """Return True for an integer of at most 64 bits."""
    return type(value) is int and abs(value) < 2**63


def _clean(name: str) -> str:
    """Replace lone surrogates, which JSON can contain but UTF-8 cannot encode."""
    return name.encode('utf-8', 'replace').decode()
