# docker-compose: reads and checks deploy/compose; there is no engine behind it, so nothing is started.
version=debian
# One line by itself: it minds a pipe that closes early.
present() {
  local short
  short=$(docker-compose version --short) && printf 'docker-compose %s\n' "$short"
}
# A machine that has it already keeps what it has.
install() {
  present || apt_install docker-compose
  ln -sfn "$(command -v docker-compose)" "$TESTBED_BIN/docker-compose"
}
