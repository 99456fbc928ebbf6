"""Console command ``mmkd <command> [arguments]``, with one module per command."""

import sys
from difflib import get_close_matches
from importlib import import_module

COMMANDS = {
    'train': 'train a network, or distill one',
    'test': 'evaluate a network',
    'sweep': 'train several configs with several seeds',
    'report': 'write a page that compares runs',
    'doctor': 'report likely mistakes in trainings',
    'compare_predictions': 'draw what networks predict side by side',
    'export': 'write a network as ONNX',
    'publish': 'write a network without its training state',
    'print_config': 'print a config with its bases merged',
    'demo': 'distill a small network on generated street scenes',
}


def main() -> None:
    """Run the command that the first argument names."""
    name = sys.argv[1] if len(sys.argv) > 1 else '--help'
    if name in COMMANDS:
        sys.argv[:2] = [f'mmkd {name}']
        import_module(f'mmkd.cli.{name}').main()
        return
    width = max(map(len, COMMANDS))
    lines = [f'  {name:{width}}  {what}' for name, what in COMMANDS.items()]
    usage = '\n'.join(['usage: mmkd COMMAND [arguments]; mmkd COMMAND --help', *lines])
    if name in ('-h', '--help'):
        print(usage)
    else:
        near = get_close_matches(name, COMMANDS)
        hint = f'; did you mean {" or ".join(near)}?' if near else ''
        sys.exit(f"{usage}\nerror: unknown command '{name}'{hint}")
