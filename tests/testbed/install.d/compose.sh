# docker-compose: reads and checks deploy/compose; there is no engine behind it, so nothing is started.
version=debian
present() { docker-compose version | head -n 1; }
# A machine that has it already keeps what it has.
install() {
  present || apt_install docker-compose
  ln -sfn "$(command -v docker-compose)" "$TESTBED_BIN/docker-compose"
}
