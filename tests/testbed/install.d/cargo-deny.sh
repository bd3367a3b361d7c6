# cargo-deny: licences, bans and sources of the dependency tree; `tests/lint` runs it.
version=0.20.2
present() { "$TESTBED_BIN/cargo-deny" --version; }
install() { cargo_install cargo-deny "$version"; }
