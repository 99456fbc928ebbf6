"""Mutation testing: change the code in one place after the other, and run its tests.

    python tools/dev/mutants.py                             everything
    python tools/dev/mutants.py mmkd/losses mmkd/checkpoint.py
    python tools/dev/mutants.py mmkd/ops --sample 50        the same 50 each time

A mutant is killed if a test fails or takes far too long. Those that no test can kill
are listed with the reason in equivalent_mutants.txt, in the form in which survivors are
printed. Exits with 1 if one that is not listed survives, or a listed one does not.

Mutmut makes the mutants, of functions without decorators, and runs only the tests that
reach a function, the fastest first, in forks of one process. What it finds is kept in
mutants/: after an interruption, or a change of code or tests, only the mutants that are
neither killed nor listed run again. Delete the folder to start anew.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from mutmut.__main__ import copy_also_copy_files, copy_src_dir, create_mutants
from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import walk_mutatable_files
from mutmut.utils.format_utils import orig_function_and_class_names_from_key

ROOT = Path(__file__).parents[2]
LIST = Path(__file__).with_name('equivalent_mutants.txt')
KILLED = ('killed', 'timeout')
SPINNER = '⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏'  # with which Mutmut's lines of progress begin
MUTMUT = (sys.executable, '-c', 'from mutmut.__main__ import cli; cli()')


def main() -> int:
    """Run the mutants of some files; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('paths', nargs='*', help='files and folders; default: all')
    parser.add_argument('--sample', type=int, help='number of mutants; default: all')
    args = parser.parse_args()
    os.chdir(ROOT)
    os.nice(10)
    generate()
    every = mutants(args.paths)
    if not every:
        parser.error('nothing is mutated there: see [tool.mutmut] in pyproject.toml')
    names = sorted(every)
    if args.sample and args.sample < len(names):
        names = random.Random(0).sample(names, args.sample)
    equivalent = set(listed(LIST.read_text(encoding='utf-8')))
    open_ones = [
        name
        for name in names
        if (status := every[name][1]) not in KILLED
        and not (status == 'survived' and text(name, every[name][0]) in equivalent)
    ]
    run(open_ones)
    after = mutants(args.paths)
    return report({name: after[name] for name in names}, equivalent, not args.sample)


def generate() -> None:
    """Write all mutants of new or changed code below mutants/."""
    # What tests reach, which Mutmut looks for in new tests only, even of new code.
    Path('mutants/mutmut-stats.json').unlink(missing_ok=True)
    shutil.rmtree('mutants/tests', ignore_errors=True)  # renamed ones would stay
    Path('mutants').mkdir(exist_ok=True)
    with redirect_stdout(StringIO()):  # the name of each file
        copy_src_dir()
        copy_also_copy_files()
        create_mutants(1)


def mutants(paths: list[str]) -> dict[str, tuple[Path, str]]:
    """Return the file and the status of each mutant, by its name."""
    found = {}
    for path in walk_mutatable_files():
        if not paths or any(path.is_relative_to(each) for each in paths):
            data = SourceFileMutationData(path=path)
            data.load()
            for name, code in data.exit_code_by_key.items():
                found[name] = path, status_by_exit_code[code]
    return found


def text(name: str, path: Path) -> str:
    """Describe a mutant by its function and what it changes."""
    function, owner = orig_function_and_class_names_from_key(name)
    lines = get_diff_for_mutant(name, path=path).splitlines()[2:]
    changes = [f'{x[0]} {x[1:].strip()}' for x in lines if x[0] in '+-']
    return '\n'.join([f'{path}: {f"{owner}." if owner else ""}{function}', *changes])


def listed(content: str) -> Iterator[str]:
    """Yield the mutants of a list: paragraphs that begin with the reason, after #."""
    for paragraph in content.strip().split('\n\n'):
        lines = paragraph.splitlines()
        if not lines[0].startswith('#'):
            raise SystemExit(f'{LIST.name}: no reason is given for\n{paragraph}')
        mutant: list[str] = []
        for line in [line for line in lines if not line.startswith('#')]:
            if mutant and line[0] not in '+-':
                yield '\n'.join(mutant)
                mutant = []
            mutant.append(line)
        if mutant:
            yield '\n'.join(mutant)


def run(names: list[str]) -> None:
    """Run mutants, one at a time."""
    if not names:
        return
    command = [*MUTMUT, 'run', '--max-children', '1', *names]
    environment = {**os.environ, 'OMP_NUM_THREADS': '1'}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout:
            if line.startswith('Mutant results'):
                break
            if not line.startswith(tuple(SPINNER)):
                print(line.rstrip(), flush=True)
            elif sys.stdout.isatty():
                print(line.rstrip(), end='\r', flush=True)
        for _ in process.stdout:
            pass
    if process.returncode:
        raise SystemExit(process.returncode)


def report(
    found: dict[str, tuple[Path, str]], equivalent: set[str], complete: bool
) -> int:
    """Print what survived, and the scores; return the exit code."""
    scores: dict[str, Counter] = defaultdict(Counter)
    seen, wrong = set(), False
    for name, (path, status) in found.items():
        where = str(path.parent if path.parent.name != 'mmkd' else path)
        if status in KILLED:
            scores[where]['killed'] += 1
            continue
        mutant = text(name, path)
        if status == 'survived' and mutant in equivalent:
            seen.add(mutant)
            scores[where]['equivalent'] += 1
            continue
        wrong = True
        scores[where]['alive'] += 1
        print(f'\n{mutant}' + ('' if status == 'survived' else f'\n({status})'))
    files = {str(path) for path, _ in found.values()}
    for mutant in equivalent - seen:
        if complete and mutant.partition(':')[0] in files:
            wrong = True
            print(
                f'\n{LIST.name}: does not survive, or is not made any more:\n{mutant}'
            )
    print()
    for where, score in sorted(scores.items()):
        total = score.total() - score['equivalent']
        print(
            f'{where}: {score["killed"]} of {total} mutants killed '
            f'({score["killed"] / max(total, 1):.1%}), '
            f'{score["equivalent"]} equivalent ones left out'
        )
    return int(wrong)


if __name__ == '__main__':
    sys.exit(main())
