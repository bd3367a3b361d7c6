# stunnel: TLS in front of tinyproxy, so that the proxy itself is spoken to over TLS. The tests start it themselves,
# unprivileged, on a loopback port; the system's service is not touched.
version=debian
present() { stunnel -version 2>&1 | grep '^stunnel'; }
# A machine that has it already keeps what it has.
install() { present || apt_install stunnel4; }
