"""Standard terminology in code, configs and pages."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SEARCHED = ('README.md', 'configs', 'docs', 'mmkd', 'tools')
SUFFIXES = ('.html', '.md', '.py', '.sh', '.txt', '.yml')

# Patterns of words in a nonstandard sense, by the term to use instead.
TERMS = {
    'valid pixels': (
        r'\b(un)?counted (pixel|position|sample|image)s?\b'
        r'|\b(pixel|position)s? (that|which) (do not )?count\b'
    ),
    'baseline': r'\blone\b',
    'fix': r'\bmend(s|ed|ing)?\b',
    'resume': (
        r'\b(run|training|sweep|process|epoch|it|one)s? goes on\b'
        r'|\b(runs|trainings|processes|to|they) go on\b'
    ),
    'class-balanced': r'\bclasses (all )?weigh (the same|as much)\b|\blevell?ed\b',
    'scale-compensated': r'\beffective tau\b',
    'untrusted': r"\bstranger(s|'s)?\b",
    'bit-identical': r'\bthe same (bit|byte)s\b|\bsame position of the run\b',
    'trained to convergence': r'\btrained out\b',
    'mismatched, invalid': (
        r'\b(does|do|did) not fit\b|\bfits (no|none)\b|\bknows? (other|no) classes\b'
    ),
    'confident': (
        r'\b(teacher|student|network|it|one|they) (is|are) '
        r'((less|more|most|very|not) )?sure\b|\bunsure\b'
    ),
    'a noun phrase': r'\bwhat is no\b|\bwhoever\b|\b(has|have) (it|them|these) do\b',
}
# Allowed occurrences: a part of the line, by file, with the reason.
ALLOWED = {
    'mmkd/runs/scalar_log.py': {
        'lone surrogates': 'the term of the Unicode standard',
    },
}


def searched_files(*places: str) -> list[Path]:
    """Return the versioned files below some places."""
    command = ['git', '-C', str(ROOT), 'ls-files', *places]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in names.split('\n') if name.endswith(SUFFIXES)]


def occurrences(pattern: str, files: list[Path], root: Path = ROOT) -> list[str]:
    """Return places where a pattern occurs, also across a line break."""
    found = []
    for path in files:
        name = str(path.relative_to(root))
        text = path.read_text(encoding='utf-8')
        # Markup of comments and of continued strings separates the words of a phrase.
        gap = r"""(?:\s|\n\s*(?:#|f?["'])|["']\n\s*f?["'])+"""
        for match in re.finditer(pattern.replace(' ', gap), text, re.IGNORECASE):
            line = text.count('\n', 0, match.start())
            around = ' '.join(text.split('\n')[line : line + 2])
            if not any(part in around for part in ALLOWED.get(name, ())):
                found.append(f'{name}:{line + 1}: {" ".join(match[0].split())}')
    return found


@pytest.mark.parametrize('term', TERMS)
def test_nonstandard_terms(term):
    found = occurrences(TERMS[term], searched_files(*SEARCHED))
    assert not found, f'use "{term}" instead: ' + '; '.join(found)


@pytest.mark.parametrize(
    ('term', 'text'),
    [
        ('valid pixels', 'the mean over counted pixels'),
        ('baseline', '# the lone\n# student'),
        ('fix', 'how to mend it'),
        ('resume', 'a killed run goes on'),
        ('class-balanced', "'all classes weigh '\n    'the same'"),
        ('scale-compensated', 'the effective tau'),
        ('untrusted', "a stranger's file"),
        ('bit-identical', 'it gives the same bits'),
        ('trained to convergence', 'a student that is trained out'),
        ('mismatched, invalid', 'the checkpoint does not\n    fit the network'),
        ('confident', 'where the teacher is less sure'),
        ('a noun phrase', 'what is no number'),
    ],
)
def test_patterns(term, text, tmp_path):
    path = tmp_path / 'a.py'
    path.write_text(text)
    assert occurrences(TERMS[term], [path], tmp_path)


@pytest.mark.parametrize(
    'text',
    [
        'images are counted once',
        'make sure that it exists',
        'the position of a pixel',
        'iterations are counted from 0',
        'go on to the next page',
        'as many columns as fit into a width',
    ],
)
def test_ordinary_words_are_allowed(text, tmp_path):
    path = tmp_path / 'a.md'
    path.write_text(text)
    assert not any(occurrences(each, [path], tmp_path) for each in TERMS.values())


def test_allowed_occurrences_exist():
    for name, parts in ALLOWED.items():
        text = (ROOT / name).read_text(encoding='utf-8')
        assert [part for part in parts if part not in text] == []


def test_docstrings_start_with_a_noun_phrase_or_a_verb():
    """Reject clauses such as "What it returns" or "Whether it is valid"."""
    wrong = []
    files = searched_files(*SEARCHED, 'benchmarks', 'studies', 'tests')
    for path in (each for each in files if each.suffix == '.py'):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
            text = ast.get_docstring(node) if isinstance(node, kinds) else None
            if text and re.match(r'(What|Whether|How|Has|Who|Whose|Where)\b', text):
                place = f'{path.relative_to(ROOT)}:{getattr(node, "lineno", 1)}'
                wrong.append(f'{place}: {text.splitlines()[0]}')
    assert not wrong, '\n'.join(wrong)
