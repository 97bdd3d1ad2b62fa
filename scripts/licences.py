"""The licences of what a package runs on, from the metadata of what is installed: licences.py PACKAGE EXTRAS

Prints `name==version` of every dependency on stdout, for pip-audit, and its licence on stderr. Exit code 1 if
one is not on the list of those that may go with Apache-2.0.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import distribution

from packaging.requirements import Requirement

ALLOWED = re.compile(r'apache|\bmit\b|\bbsd\b|bsd-|\bisc\b|psf|python software|zlib|any-osi', re.I)
FORBIDDEN = re.compile(r'\b[al]?gpl|general public licen|non-?commercial|proprietary', re.I)


def dependencies(name, extras, seen):
    """Adds to `seen` {name: Distribution} what `name` with its `extras` requires here, and what that does."""
    for line in distribution(name).requires or ():
        need = Requirement(line)
        asked = any(need.marker is None or need.marker.evaluate({'extra': extra}) for extra in (*extras, ''))
        if asked and need.name.lower() not in seen:
            seen[need.name.lower()] = distribution(need.name)
            dependencies(need.name, need.extras, seen)
    return seen


def licence(found):
    """What a Distribution says of its licence, in one line; a whole text is cut."""
    about = found.metadata
    stated = [about.get('License-Expression'), *(about.get_all('Classifier') or ()), about.get('License')]
    names = [text for text in stated if text and ('::' not in text or text.startswith('License ::'))]
    return ' '.join(names[0].rpartition(':: ')[2].split())[:80] if names else 'none stated'


def main():
    package, extras = sys.argv[1:]
    wrong = []
    for name, found in sorted(dependencies(package, extras.split(','), {}).items()):
        said = licence(found)
        print(f'{name}=={found.version}')
        print(f'{name} {found.version}: {said}', file=sys.stderr)
        if FORBIDDEN.search(said) or not ALLOWED.search(said):
            wrong.append(name)
    if wrong:
        sys.exit(f'Licences to look at: {", ".join(wrong)}')


if __name__ == '__main__':
    main()
