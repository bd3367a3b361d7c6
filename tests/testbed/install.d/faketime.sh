# libfaketime: gives one process a wall clock that a test can step, and leaves its monotonic clocks alone. The tests
# preload it into the binary as it is; the machine's clock is not touched.
version=debian
faketime=$TESTBED_BIN/libfaketimeMT.so.1
present() { echo "libfaketime, in the year $(LD_PRELOAD=$faketime FAKETIME='@2001-02-03 04:05:06' date -u +%Y)" | grep ' 2001$'; }
find_faketime() { find "$@" -path '*/faketime/libfaketimeMT.so.1' -print -quit 2>/dev/null; }
install() {
  local found
  found=$(find_faketime /usr/lib)
  if [[ -z $found && $(id -u) == 0 ]]; then
    apt_install libfaketime
    found=$(find_faketime /usr/lib)
  elif [[ -z $found ]]; then
    # It is one file, which needs no place of its own: without root, it is taken out of the package.
    (cd "$TESTBED_RUN" && apt-get download -q libfaketime && dpkg-deb -x libfaketime_*.deb "$TESTBED_CACHE/faketime")
    found=$(find_faketime "$TESTBED_CACHE/faketime")
  fi
  ln -sfn "$found" "$faketime"
}
