# Prometheus 3 and promtool, from the module whose v0.3NN.P is release 3.NN.P.
# Without the clouds' service discoveries there is half as much to build; those that deploy/ may name stay.
release=3.16.0
version=v0.316.0
present() {
  "$TESTBED_BIN/prometheus" --version
  "$TESTBED_BIN/promtool" --version
}
install() {
  # A module build does not know its release by itself, and `--version` would be blank.
  go_install -tags remove_all_sd,enable_kubernetes_sd,enable_dns_sd \
    -ldflags="-s -w -X github.com/prometheus/common/version.Version=$release" \
    "github.com/prometheus/prometheus/cmd/prometheus@$version" \
    "github.com/prometheus/prometheus/cmd/promtool@$version"
}
