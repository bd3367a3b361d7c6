# Alertmanager and amtool, as Debian packages them; the tests start it themselves, the system's service is not touched.
version=debian
link() { for pair in "$@"; do ln -sfn "$(command -v "${pair#*:}")" "$TESTBED_BIN/${pair%%:*}"; done; }
present() {
  "$TESTBED_BIN/alertmanager" --version
  "$TESTBED_BIN/amtool" --version
}
install() {
  { command -v prometheus-alertmanager && command -v amtool; } || apt_install prometheus-alertmanager
  link alertmanager:prometheus-alertmanager amtool:amtool
}
