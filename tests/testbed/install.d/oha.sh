# oha: the load generator that the benches compare with.
version=1.16.0
present() { "$TESTBED_BIN/oha" --version; }
install() { cargo_install oha "$version"; }
