# cargo-zigbuild and zig, as the Dockerfile has them: static binaries for musl, their parts in C included.
# Rust's own part for that target comes from rustup, which has to be there.
version="$(sed -n 's/^ARG ZIGBUILD=//p; s/^ARG ZIG=/zig /p' "$TESTBED_SRC/../../Dockerfile" | tr '\n' ' ')"
target=x86_64-unknown-linux-musl
home=$TESTBED_CACHE/zigbuild

present() {
  echo "$("$TESTBED_BIN/cargo-zigbuild" --version), zig $("$home/bin/python" -m ziglang version)"
  [[ -d $(cd "$TESTBED_SRC" && rustc --print sysroot)/lib/rustlib/$target ]]
}

install() {
  local zig zigbuild
  zig=$(sed -n 's/^ARG ZIG=//p' "$TESTBED_SRC/../../Dockerfile")
  zigbuild=$(sed -n 's/^ARG ZIGBUILD=//p' "$TESTBED_SRC/../../Dockerfile")
  make_venv "$home"
  "$home/bin/pip" install --quiet "ziglang==$zig" "cargo-zigbuild==$zigbuild"
  # It finds zig by the Python beside it.
  printf '#!/bin/sh\nPATH=%q:$PATH exec %q "$@"\n' "$home/bin" "$home/bin/cargo-zigbuild" >"$TESTBED_BIN/cargo-zigbuild"
  chmod 755 "$TESTBED_BIN/cargo-zigbuild"
  (cd "$TESTBED_SRC" && rustup target add "$target")
}
