//! Real guests for tests: containers with systemd as pid 1 (logind, sshd, PAM and a QEMU guest agent that are real) and
//! virtual machines with a kernel of their own. `tests/guests/README.md` says how they are built and kept.
//!
//! Everything hangs on a [`GuestLab`]: whatever it started and changed on this machine is taken back when it goes,
//! however the test ends. The harness reaches into guests by ways of its own, so that the guest agent's socket, which has
//! room for one client, belongs to the product under test.

mod cgroup;
mod container;
mod exec;
mod forward;
mod guest;
mod lab;
mod libvirt;
mod logind;
mod machine;
mod qga;
mod qmp;
mod seat;
mod service;
mod terminal;
mod vm;
mod wait;

pub use container::{Container, ContainerSpec, Debian};
pub use exec::CommandOutput;
pub use forward::Forward;
pub use guest::Guest;
pub use lab::GuestLab;
pub use libvirt::{Domain, Libvirt};
pub use logind::LogindSession;
pub use qga::QgaClient;
pub use qmp::QmpClient;
pub use service::{GuestService, ServiceSpec};
pub use terminal::{Terminal, attempt_login};
pub use vm::{Vm, VmSpec};
pub use wait::until;
