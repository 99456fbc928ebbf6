"""Configuration of the documentation site, which ``make docs`` builds with Sphinx.

The source folder is the repository: the site shows the Markdown files where they are.
What GitHub does and Sphinx does not is done here: a link to a folder leads to its
README.md, and README.md is the first page, with the navigation added.
"""

import re
import shutil
from pathlib import Path

from sphinx.application import Sphinx

import mmkd
from mmkd.cli.console import import_packages

import_packages()

REPO = Path(__file__).parents[1]

project = 'mmkd'
author = 'The mmkd developers'
version = release = mmkd.__version__

extensions = [
    'myst_parser',
    'sphinx.ext.autodoc',
    'sphinx.ext.napoleon',
    'sphinx.ext.mathjax',
]
root_doc = 'README'
include_patterns = [
    '*.md',
    'docs/**',
    'configs/**',
    'studies/**',
    'data/README.md',
    'tests/README.md',
]
exclude_patterns = ['.*', 'build', 'data/*/**', 'mmkd', 'mutants', 'work_dirs']

# The sidebar: a page that is in none of these groups fails the build.
NAVIGATION = {
    'Use': [
        'docs/install',
        'docs/own_networks_and_data',
        'docs/families',
        'docs/any_network',
        'docs/exported_teachers',
        'docs/other_classes_and_sizes',
        'docs/unlabeled_images',
        'docs/several_teachers',
        'docs/corrected_teachers_and_edges',
        'docs/recommended_pairs',
        'docs/choose_a_method',
        'docs/divergences',
        'docs/troubleshooting',
        'docs/cluster',
        'docs/deployment',
        'docs/coming_from',
    ],
    'Reference': [
        'docs/reference',
        'docs/api/*',
        'docs/guarantees',
        'docs/speed',
        'docs/background',
        'data/README',
    ],
    'Configs': ['configs/README', 'configs/*/README'],
    'Studies': ['studies/README', 'studies/*/README', 'studies/*/PROTOCOL'],
    'Develop': ['CONTRIBUTING', 'docs/write_a_loss', 'tests/README', 'CHANGELOG'],
}
# The public modules; each has a page of what its __all__ names, or of its own members.
API = [
    'mmkd.functional',
    'mmkd.losses',
    'mmkd.distillation',
    'mmkd.distillation.tapped_loss',
    'mmkd.engine.runner',
    'mmkd.engine.config',
    'mmkd.engine.hooks',
    'mmkd.checkpoint',
    'mmkd.checkpoint_fit',
    'mmkd.datasets',
    'mmkd.datasets.build_dataset',
    'mmkd.evaluation',
    'mmkd.models',
    'mmkd.models.backbone',
    'mmkd.models.import_module',
    'mmkd.models.torch_network',
    'mmkd.models.torch_preprocessor',
    'mmkd.ops',
    'mmkd.visualization',
    'mmkd.deployment.network',
    'mmkd.deployment.onnx_export',
    'mmkd.deployment.publish',
    'mmkd.runs.training',
    'mmkd.runs.run_directory',
    'mmkd.runs.run_queue',
    'mmkd.runs.scalar_log',
]

myst_enable_extensions = ['dollarmath']
myst_fence_as_directive = ['math']
myst_heading_anchors = 4
autodoc_default_options = {'members': True, 'show-inheritance': True}
autodoc_member_order = 'bysource'
autodoc_typehints = 'description'
autodoc_typehints_description_target = 'documented'
add_module_names = False
napoleon_numpy_docstring = False

# References to other projects are not checked: that would need a network.
nitpicky = True
nitpick_ignore_regex = [('py:.*', r'(?!mmkd\b).*')]

html_theme = 'furo'
html_title = f'mmkd {version}'
html_copy_source = False

LINK = re.compile(r'\]\((?P<path>[^)#:\s]+)(?P<anchor>#[^)\s]*)?\)')


def link_to_readme(text: str, folder: Path) -> str:
    """Replace links to folders by links to their README.md, or the nearest one above.

    Args:
        text: Markdown.
        folder: Of the page; links are relative to it.
    """

    def replace(link: re.Match) -> str:
        target = (folder / link['path']).resolve()
        if not target.is_dir():
            return link[0]
        ups = ''
        while not (target / ups / 'README.md').exists():
            ups += '../'
        return f'](<{link["path"]}/{ups}README.md>{link["anchor"] or ""})'

    return LINK.sub(replace, text)


def read_page(app: Sphinx, name: str, source: list[str]) -> None:
    """Adapt the source of a page before it is parsed."""
    source[0] = link_to_readme(source[0], (REPO / name).parent)
    if name == root_doc:
        for caption, pages in NAVIGATION.items():
            options = f':hidden:\n:glob:\n:caption: {caption}\n:titlesonly:\n'
            source[0] += f'\n```{{toctree}}\n{options}\n' + '\n'.join(pages) + '\n```\n'


def write_api(app: Sphinx) -> None:
    """Write a page for each public module into docs/api, which Git ignores."""
    folder = REPO / 'docs/api'
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for module in API:
        text = f'{module}\n{"=" * len(module)}\n\n.. automodule:: {module}\n'
        (folder / f'{module}.rst').write_text(text)


def write_index(app: Sphinx, error: Exception | None) -> None:
    """Let the folder of the site open on the README."""
    if not error:
        shutil.copy(app.outdir / f'{root_doc}.html', app.outdir / 'index.html')


def setup(app: Sphinx) -> None:
    """Connect the functions above to the steps of a build."""
    app.connect('builder-inited', write_api)
    app.connect('source-read', read_page)
    app.connect('build-finished', write_index)
