# A static binary, a certificate store and nothing else. Built by BuildKit or buildah, for amd64 and arm64:
#
#   docker buildx build --platform linux/amd64,linux/arm64 --build-arg REVISION=$(git rev-parse --short=12 HEAD) -t plimsoll:0.1.0 .
#
# The compiler runs on the builder's own platform and crosses over by itself, so that no platform is emulated.

# Debian with Rust; and what the image begins with.
ARG BUILD_IMAGE=rust:1.95-bookworm
ARG RUNTIME_IMAGE=scratch
# Where the files come from: `build`, or `prebuilt` for what lies in dist/ARCHITECTURE already. (buildah 1.28 passes over
# the stage `build` unless it is told --build-arg FILES=build, and opens too few files without --ulimit nofile=16384.)
ARG FILES=build

FROM --platform=$BUILDPLATFORM ${BUILD_IMAGE} AS build
# One compiler for C that knows every target, its own C library included.
ARG ZIG=0.17.1
ARG ZIGBUILD=0.24.1
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates python3-venv \
 && rm -rf /var/lib/apt/lists/* \
 && python3 -m venv /opt/zig \
 && /opt/zig/bin/pip install --no-cache-dir "ziglang==$ZIG" "cargo-zigbuild==$ZIGBUILD"
ENV PATH=/opt/zig/bin:$PATH
WORKDIR /src
COPY . .
ARG TARGETARCH
# Shown by plimsoll_build_info; there is no checkout in here.
ARG REVISION=unknown
# zig opens more files at once, to make its C library, than a soft limit of 1024 allows.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target,id=plimsoll-$TARGETARCH \
    ulimit -n "$(ulimit -Hn)" \
 && case "$TARGETARCH" in \
      amd64) target=x86_64-unknown-linux-musl ;; \
      arm64) target=aarch64-unknown-linux-musl ;; \
      *) echo "no build for $TARGETARCH" >&2; exit 1 ;; \
    esac \
 && rustup target add "$target" \
 && PLIMSOLL_REVISION=$REVISION cargo zigbuild --locked --release --target "$target" \
 && install -D "target/$target/release/plimsoll" /out/plimsoll \
 && install -D -m 644 /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/ca-certificates.crt

# For pipelines that compile elsewhere.
FROM scratch AS prebuilt
ARG TARGETARCH
COPY dist/${TARGETARCH}/ /out/

FROM ${FILES} AS files

FROM ${RUNTIME_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="plimsoll" \
      org.opencontainers.image.description="Sends messaging traffic at a steady rate, meets rate limits politely, and tells the whole story in metrics and traces." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=files /out/ /
# A number, so that Kubernetes can see that it is not root. There is no /etc/passwd.
USER 65532:65532
EXPOSE 9469
ENTRYPOINT ["/plimsoll"]
