# buildah: builds the image as its Dockerfile says, without a daemon.
version=debian
present() { buildah --version; }
# A machine that has it already keeps what it has.
install() { present || apt_install buildah; }
