//! The manifests in `deploy/kubernetes`: as kustomize renders them, against the binary that they start, against the
//! schemas of Kubernetes, on a real API server, and as an image.

#[path = "../support/mod.rs"]
mod support;
#[allow(dead_code, reason = "it is of the tests of the life of a daemon; here, its part is used")]
#[path = "../lifecycle/world.rs"]
mod world;

mod cluster;
mod contract;
mod control_plane;
mod image;
mod pod;
mod rendered;
mod rollout;
mod schemas;
mod started;
