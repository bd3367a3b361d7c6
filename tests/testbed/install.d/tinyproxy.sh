# tinyproxy: an HTTP proxy that nobody here wrote, with CONNECT and passwords. The tests start it themselves,
# unprivileged, on a loopback port; the system's service is not touched.
version=debian
present() { tinyproxy -v; }
# A machine that has it already keeps what it has.
install() { present || apt_install tinyproxy; }
