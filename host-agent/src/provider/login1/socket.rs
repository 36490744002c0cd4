//! Connecting to a bus whose socket lies in a machine's file system: as the user that the bus expects, only to a process
//! of that machine, and with a bound on what it may send.

use super::ids::Outside;
use super::process;
use super::root::{Owner, Root, path_of};
use rustix::fs::{FileType, OFlags, fstat};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::UnixStream;
use zbus::{Connection, connection};

/// Most bytes that are read from a bus on one connection: the properties of 10,000 sessions, twice over.
const RECEIVED_MAX: u64 = 32 * 1024 * 1024;

/// Who connects: the user's number in the machine, which the bus is told, and outside, which the bus is shown.
#[derive(Clone, Copy, Debug)]
pub(in crate::provider) struct Caller {
    pub(in crate::provider) inside: u32,
    pub(in crate::provider) outside: Outside,
}

impl Caller {
    /// The machine's user with this number.
    ///
    /// # Errors
    /// When the container's user namespace has no such user.
    pub(in crate::provider) fn of(root: &Root, uid: u32) -> io::Result<Caller> {
        let outside = match root.owner() {
            Owner::Host => Some(Outside::plain(uid)),
            Owner::Container { ids, .. } => ids.outside(uid),
        };
        let none = || io::Error::other(format!("the container's user namespace maps no user {uid}"));
        Ok(Caller { inside: uid, outside: outside.ok_or_else(none)? })
    }
}

/// Who may be found to listen at a socket of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::provider) enum Listener {
    /// A process of the container that is still there: for calls that act.
    IsThere,
    /// Also one that has ended and left its socket to another, as a bus that goes into the background does.
    MayBeGone,
}

/// A connection to the bus whose socket is at this path of the machine. Says hello, so it needs a bus that answers; the
/// caller bounds the time.
///
/// # Errors
/// When there is no such socket, nobody of that machine listens at it, or the bus refuses the user.
pub(in crate::provider) async fn bus_at(
    root: &Root,
    path: String,
    caller: Caller,
    listener: Listener,
) -> zbus::Result<Connection> {
    let stream = root.work(move |root| open(root, &path, caller)).await?;
    let far = UnixStream::from_std(StdUnixStream::from(stream))?;
    check_listener(root, &far, listener)?;
    let (near, relayed) = StdUnixStream::pair()?;
    relayed.set_nonblocking(true)?;
    let relayed = UnixStream::from_std(relayed)?;
    tokio::spawn(relay(far, relayed));
    connection::Builder::unix_stream(near).user_id(caller.inside).build().await
}

/// Carries bytes until either side is done or the bus has said more than it may.
async fn relay(far: UnixStream, near: UnixStream) {
    let ((far_rx, mut far_tx), (mut near_rx, mut near_tx)) = (far.into_split(), near.into_split());
    let mut far_rx = far_rx.take(RECEIVED_MAX);
    // Whichever ends first ends the connection: both are dropped, and so are their sockets.
    tokio::select! {
        _ = copy(&mut far_rx, &mut near_tx) => {}
        _ = copy(&mut near_rx, &mut far_tx) => {}
    }
    // Nobody waits for what could not be said any more.
    let _ = near_tx.shutdown().await;
}

fn open(root: &Root, path: &str, caller: Caller) -> io::Result<OwnedFd> {
    let place = root.open(path, OFlags::PATH | OFlags::NOFOLLOW)?;
    if FileType::from_raw_mode(fstat(&place)?.st_mode) != FileType::Socket {
        return Err(io::Error::other(format!("/{path} is no socket")));
    }
    let address = SocketAddrUnix::new(path_of(place.as_fd()))?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let stream = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    // The kernel shows the other side whom the connecting thread acts as.
    caller.outside.become_on_this_thread()?;
    // Does not wait: it fails where the other side takes no connections.
    connect(&stream, &address)?;
    Ok(stream)
}

/// Refuses a listener that is not of the container: a link or a mount could lead to a bus of the machine outside.
fn check_listener(root: &Root, stream: &UnixStream, listener: Listener) -> io::Result<()> {
    let Owner::Container { pids, .. } = root.owner() else { return Ok(()) };
    // None is one that the agent cannot see.
    let found = stream.peer_cred()?.pid().map(|pid| process::namespace(&pid.to_string(), "pid"));
    match found {
        Some(Ok(theirs)) if theirs == *pids => Ok(()),
        Some(Err(error)) if process::is_gone(&error) && listener == Listener::MayBeGone => Ok(()),
        _ => Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "who listens at the container's bus is not a process of the container",
        )),
    }
}
