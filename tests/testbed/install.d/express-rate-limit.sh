# express-rate-limit and rate-limiter-flexible: limiters of the npm world that nobody here wrote.
# `node-limited` is a node that finds them: `node-limited servers/express_limited.js`.
# The lock file's checksum is in the version: another dependency is installed anew.
version="8.7.5 $(sha256sum <"$TESTBED_SRC/express/package-lock.json" | cut -c 1-12)"
home=$TESTBED_CACHE/express

present() {
  "$TESTBED_BIN/node-limited" -e '
    require("express"); require("rate-limiter-flexible");
    require("express-rate-limit");
    const of = (name) => require(`${process.env.NODE_PATH}/${name}/package.json`).version;
    console.log(["express-rate-limit", "express", "rate-limiter-flexible"]
      .map((name) => `${name} ${of(name)}`).join(", ") + `, node ${process.version}`);'
}

install() {
  # A machine that has them already keeps what it has; Debian splits npm from nodejs, others do not.
  { node --version && npm --version; } || apt_install nodejs npm
  rm -rf "$home"
  mkdir -p "$home"
  cp "$TESTBED_SRC"/express/package*.json "$home"
  # Nothing here needs a package's own install script to run.
  (cd "$home" && npm ci --ignore-scripts --no-audit --no-fund)
  # `exec`: the process that was started is the server, and ends with it.
  printf '#!/bin/sh\nNODE_PATH=%q exec node "$@"\n' "$home/node_modules" >"$TESTBED_BIN/node-limited"
  chmod 755 "$TESTBED_BIN/node-limited"
}
