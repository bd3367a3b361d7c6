//! The manifests in `deploy/kubernetes`: as kustomize renders them, against the binary that they start, against the
//! schemas of Kubernetes, on a real API server, and as an image.

#[path = "../support/mod.rs"]
mod support;

mod cluster;
mod contract;
mod control_plane;
mod pod;
mod rendered;
mod schemas;
