# kubectl with kustomize 5: renders the manifests, and applies them. The machine's own where it is new enough.
kustomize_at_least=5.0.0
version="$kustomize_at_least $(cat "$TESTBED_SRC"/kube/kubectl/main.go "$TESTBED_SRC"/kube/go.mod | sha256sum | cut -c 1-12)"
kustomize() { "$1" version --client 2>/dev/null | sed -n 's/^Kustomize Version: v//p'; }

present() { echo "kubectl with kustomize $(kustomize "$TESTBED_BIN/kubectl")"; "$TESTBED_BIN/kubectl" kustomize --help >"/dev/null"; }

install() {
  local machine have
  if machine=$(command -v kubectl) && have=$(kustomize "$machine") && [[ -n $have ]] \
    && version_at_least "$have" "$kustomize_at_least"; then
    ln -sfn "$machine" "$TESTBED_BIN/kubectl"
    return
  fi
  local build=$TESTBED_CACHE/build/kubectl
  rm -rf "$build"
  mkdir -p "$build"
  cp -r "$TESTBED_SRC"/kube/. "$build"
  cd "$build"
  go_install ./kubectl
}
