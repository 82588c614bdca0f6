# SPDX-License-Identifier: Apache-2.0
"""The plugins that were built for the tests, copied to where their loader trusts them: the build's own directories may be
writable by others."""
import os
import shutil
import sys

PLUGINS = os.path.abspath(sys.argv[2])


def copy_plugin(variant, name, directory):
    """Copies annals_NAME.so of this variant; returns its path there."""
    to = os.path.join(directory, f"annals_{name}.so")
    shutil.copyfile(os.path.join(PLUGINS, variant, f"annals_{name}.so"), to)
    os.chmod(to, 0o644)
    return to
