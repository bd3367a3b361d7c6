# nginx: a rate limiter (`limit_req`) that nobody here wrote, with an access log of its own to compare with.
# The tests start it themselves, unprivileged, on a loopback port; the system's service is not touched.
version=debian
nginx() { PATH=$PATH:/usr/sbin command nginx "$@"; }
present() { nginx -v; }
# A machine that has it already keeps what it has.
install() { present || apt_install nginx; }
