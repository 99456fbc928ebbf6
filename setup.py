"""Packaging of mmkd; pip install -e .[onedl,cls,deploy,dev] to develop."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
INIT = (HERE / 'mmkd' / '__init__.py').read_text()

setup(
    name='mmkd',
    version=INIT.partition("__version__ = '")[2].partition("'")[0],
    description='Knowledge distillation for semantic segmentation on OpenMMLab',
    long_description=(HERE / 'README.md').read_text(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    python_requires='>=3.10,<3.14',
    packages=find_packages(include=['mmkd', 'mmkd.*']),
    # mmkd/.mim links to configs, tools and model-index.yml: there MMEngine looks for
    # a package's configs, in a checkout as in an installed wheel.
    package_data={
        'mmkd': [
            '.mim/model-index.yml',
            '.mim/configs/**/*.py',
            '.mim/configs/**/*.yml',
            '.mim/tools/**/*.py',
            '.mim/tools/**/*.sh',
        ],
        'mmkd.analysis': ['report.html'],
    },
    install_requires=['torch>=2.6', 'numpy'],
    extras_require={
        # Both families own the same import names; install one of them.
        'onedl': [
            'onedl-mmengine>=0.10.12',
            'onedl-mmcv>=2.3.6',
            'onedl-mmsegmentation>=1.4.2',
        ],
        'openmmlab': [
            'mmengine>=0.10.7',
            'mmcv>=2.1.0,<2.2',  # mmseg refuses 2.2
            'mmsegmentation>=1.2.2',
            # They import these, and do not ask for them; pkg_resources ended with 82.
            'ftfy',
            'regex',
            'setuptools<82',
        ],
        # Classification.
        'cls': ['onedl-mmpretrain>=1.3.6', 'torchvision'],
        # Exporting to ONNX, publishing as safetensors.
        'deploy': ['onnx', 'onnxruntime', 'onnxscript', 'safetensors'],
        'dev': [
            'hypothesis',
            'pytest>=8',
            'pytest-xdist',
            'ruff>=0.9',
            'scikit-learn',
            'scipy',
        ],
    },
)
