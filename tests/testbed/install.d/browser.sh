# Chromium, what drives it, and Grafana's own types for dashboards, with the compiler that knows them.
# `node-browser` is a node that finds them. The lock file's checksum is in the version.
version="24.43.1 $(sha256sum <"$TESTBED_SRC/browser/package-lock.json" | cut -c 1-12)"
home=$TESTBED_CACHE/browser

present() {
  "$TESTBED_BIN/chromium" --version 2>/dev/null
  "$TESTBED_BIN/node-browser" -e 'require("puppeteer-core"); require("typescript")'
}

install() {
  { node --version && npm --version; } || apt_install nodejs npm
  # A font with it, or pages are drawn without letters.
  command -v chromium || apt_install chromium fonts-dejavu-core
  rm -rf "$home"
  mkdir -p "$home"
  cp "$TESTBED_SRC"/browser/package*.json "$home"
  (cd "$home" && npm ci --ignore-scripts --no-audit --no-fund)
  ln -sfn "$(command -v chromium)" "$TESTBED_BIN/chromium"
  # `exec`: the process that was started is the browser's driver, and ends with it.
  printf '#!/bin/sh\nNODE_PATH=%q exec node "$@"\n' "$home/node_modules" >"$TESTBED_BIN/node-browser"
  chmod 755 "$TESTBED_BIN/node-browser"
}
