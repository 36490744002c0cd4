//! A way out of a container guest, whose network has no link to anything: one port, over a unix socket in the folder
//! that guest and host share. Nothing of the host's network is touched for it.

use std::path::Path;

use anyhow::Context;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpStream, UnixListener};
use tokio::task::{AbortHandle, JoinSet};

use super::container::Container;
use super::guest::Guest;

/// Carries connections from a port of the guest's loopback to the same port of the host's, until it is dropped; then it
/// also cuts those that are open.
pub struct Forward(AbortHandle);

impl Forward {
    pub(super) async fn open(guest: &Container, shared: &Path, port: u16) -> anyhow::Result<Self> {
        let name = format!("forward-{port}");
        let socket = shared.join(format!("{name}.sock"));
        let _ = std::fs::remove_file(&socket);
        let listener =
            UnixListener::bind(&socket).with_context(|| format!("cannot listen on {}", socket.display()))?;
        let unit = format!("--unit={name}");
        let listen = format!("--socket-property=ListenStream=127.0.0.1:{port}");
        let inside = format!("/run/io/{name}.sock");
        // A forward of this port that was dropped has left its units running in the guest.
        guest.exec(&["systemctl", "stop", &format!("{name}.socket"), &format!("{name}.service")]).await?;
        let proxy = "/lib/systemd/systemd-socket-proxyd";
        guest
            .exec(&["systemd-run", "--quiet", "--collect", &unit, &listen, proxy, &inside])
            .await?
            .success()?;
        Ok(Self(tokio::spawn(carry(listener, port)).abort_handle()))
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Accepts for ever. The connections belong to this task, so they end with it.
async fn carry(listener: UnixListener, port: u16) {
    let mut connections = JoinSet::new();
    while let Ok((mut inside, _)) = listener.accept().await {
        // Those that have ended are collected here, so the set holds no more than what is open.
        while connections.try_join_next().is_some() {}
        connections.spawn(async move {
            // A refused or broken connection ends the guest's side too, which is all a client inside would see of it.
            if let Ok(mut outside) = TcpStream::connect(("127.0.0.1", port)).await {
                let _ = copy_bidirectional(&mut inside, &mut outside).await;
            }
        });
    }
}
