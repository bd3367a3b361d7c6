# The OpenTelemetry Collector, of the parts that the tests use: otelcol/main.go says which.
# The checksum is in the version: a changed main or dependency is built anew.
version="0.165.0 $(cat "$TESTBED_SRC"/otelcol/{main.go,go.mod,go.sum} | sha256sum | cut -c 1-12)"
present() { "$TESTBED_BIN/otelcol" --version; }
install() {
  local build=$TESTBED_CACHE/build/otelcol
  # A copy, so that a build writes nothing into the checkout.
  rm -rf "$build"
  mkdir -p "$build"
  cp "$TESTBED_SRC"/otelcol/* "$build"
  cd "$build"
  go_install .
}
