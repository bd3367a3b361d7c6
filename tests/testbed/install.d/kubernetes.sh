# A control plane: kube-apiserver from its own modules, etcd from Debian, and the Prometheus operator's definitions
# of ServiceMonitor and PrometheusRule. No pod can run on it; what is stored is what a cluster would store.
operator=v0.85.0
version="1.34.3 $operator $(cat "$TESTBED_SRC"/kube/kube-apiserver/main.go "$TESTBED_SRC"/kube/go.{mod,sum} | sha256sum | cut -c 1-12)"
crds=$TESTBED_CACHE/crds

present() {
  "$TESTBED_BIN/kube-apiserver" --version
  etcd --version
  [[ -s $crds/servicemonitors.yaml && -s $crds/prometheusrules.yaml ]]
}

install() {
  command -v etcd || apt_install etcd-server
  # The test makes a key for service accounts.
  command -v openssl || apt_install openssl
  local build=$TESTBED_CACHE/build/kube go module
  rm -rf "$build" "$crds"
  mkdir -p "$build" "$crds"
  cp -r "$TESTBED_SRC"/kube/. "$build"
  cd "$build"
  go_install -ldflags='-s -w -X k8s.io/component-base/version.gitVersion=v1.34.3 -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=34' \
    ./kube-apiserver
  go=$(find_go)
  # Outside of a module, so that nothing of it gets into the build above.
  module=$(cd "$crds" && GOFLAGS=-mod=mod "$go" mod download -json "github.com/prometheus-operator/prometheus-operator@$operator" \
    | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
  for kind in servicemonitors prometheusrules; do
    cp "$module/example/prometheus-operator-crd/monitoring.coreos.com_$kind.yaml" "$crds/$kind.yaml"
    chmod u+w "$crds/$kind.yaml"
  done
}
