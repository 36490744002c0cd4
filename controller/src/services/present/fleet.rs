//! Hosts, guests and what protects them, as they stand on the wire.

use curfew_controller_core::HoldView;
use curfew_controller_core::drains::DrainView;
use curfew_controller_core::fleet::{GuestView, HostView};
use curfew_controller_core::record::{Freeze, ProtectedUser};
use curfew_proto::convert::timestamp;
use curfew_proto::v1;

pub(in crate::services) fn host(view: HostView) -> v1::Host {
    v1::Host {
        name: view.name.to_string(),
        connected: view.connected,
        last_seen_time: view.seen.map(timestamp),
        labels: view.labels.into_iter().collect(),
        guest_count: u32::try_from(view.guests).unwrap_or(u32::MAX),
        agent_version: view.version,
    }
}

pub(in crate::services) fn guest(view: GuestView, held: bool) -> v1::Guest {
    v1::Guest {
        held,
        id: view.guest.id.to_string(),
        name: view.guest.name.to_string(),
        host: view.host.to_string(),
        provider: view.guest.provider.to_string(),
        os: view.guest.os.as_str().into(),
        power_state: v1::PowerState::from(view.guest.power).into(),
        labels: view.labels.into_iter().collect(),
        is_host: view.guest.is_host,
        other_hosts: view.other_hosts.iter().map(ToString::to_string).collect(),
        host_connected: view.connected,
        drain_expire_time: view.drained_until.map(timestamp),
    }
}

pub(in crate::services) fn drain(view: DrainView) -> v1::Drain {
    v1::Drain { guest_name: view.name, host: view.host.to_string(), ..view.drain.into() }
}

pub(in crate::services) fn hold(view: HoldView) -> v1::Hold {
    let HoldView { hold, confirmed } = view;
    v1::Hold {
        guest_id: hold.guest.to_string(),
        guest_name: hold.name,
        holder: hold.by,
        reason: hold.reason,
        create_time: Some(timestamp(hold.since)),
        expire_time: hold.until.map(timestamp),
        confirmed,
    }
}

pub(in crate::services) fn protected_users(users: Vec<ProtectedUser>) -> Vec<v1::ProtectedUser> {
    let user = |user: ProtectedUser| v1::ProtectedUser {
        pattern: user.pattern.into(),
        requester: user.by,
        reason: user.reason,
        create_time: Some(timestamp(user.since)),
    };
    users.into_iter().map(user).collect()
}

pub(in crate::services) fn freeze(freeze: Freeze) -> v1::FreezeState {
    v1::FreezeState {
        requester: freeze.by,
        reason: freeze.reason,
        create_time: Some(timestamp(freeze.since)),
        hard: freeze.hard,
    }
}
