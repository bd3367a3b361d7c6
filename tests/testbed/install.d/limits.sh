# limits: a limiter of the Python world (the one under Flask-Limiter and slowapi) that nobody here wrote.
# `python-limited` is a Python that finds it: `python-limited servers/limits_limited.py`.
# The checksum of the list is in the version: another dependency is installed anew.
version="5.8.0 $(sha256sum <"$TESTBED_SRC/limits/requirements.txt" | cut -c 1-12)"
home=$TESTBED_CACHE/limits

present() {
  "$TESTBED_BIN/python-limited" -c '
import limits, limits.storage, limits.strategies, platform
from importlib.metadata import version
print("limits", version("limits") + ",", "Python", platform.python_version())'
}

install() {
  make_venv "$home"
  "$home/bin/pip" install --quiet --no-deps --requirement "$TESTBED_SRC/limits/requirements.txt"
  # `exec`: the process that was started is the server, and ends with it. A link would not find its packages.
  printf '#!/bin/sh\nexec %q "$@"\n' "$home/bin/python" >"$TESTBED_BIN/python-limited"
  chmod 755 "$TESTBED_BIN/python-limited"
}
