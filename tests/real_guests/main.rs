//! The product's own binaries on real guests: a controller, an agent and the command line as processes, and people
//! who are really logged on.
//!
//! Tiers: `containers` (systemd, logind, sshd and qemu-ga are real), `logind` (the agent inside such a guest) and
//! `vm` (a kernel of its own, virtio-serial, QMP).

mod containers;
mod containers_provider;
mod draining;
mod filters;
mod forcing;
mod libvirt;
mod logind;
mod many;
mod notice;
mod safety;
mod site;
mod vm;
