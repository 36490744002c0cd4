//! `run`: puts the controller together, and stops it when it is asked to.

use crate::clock;
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::history;
use crate::pki::{Material, server_names};
use crate::server::Controller;
use crate::store::SqliteStore;
use crate::tls::{Listener, ServerTls};
use anyhow::Context;
use curfew_controller_core::Settings;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start, or a part of it ends by itself.
pub(super) async fn run(config: Config) -> anyhow::Result<()> {
    let mut terminated = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupted = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    let dir = DataDir::ensure(&config.data_dir)?;
    let _lock = dir.lock()?;
    let names = server_names(&config.names, config.listen);
    let material = Material::ensure(&config.pki, &dir, &config.trust_domain, &names)?;
    let listener = Listener::bind(config.listen, ServerTls::new(material)?)
        .with_context(|| format!("cannot listen on {}", config.listen))?;
    let store = Arc::new(SqliteStore::open(&dir.store()).await?);
    let heartbeat_ms = u64::try_from(config.heartbeat_interval.as_millis()).unwrap_or(u64::MAX);
    let boot = clock::boot();
    let settings = Settings { heartbeat_ms, boot, approval: config.approval, ..Settings::default() };
    let mut controller = Controller::start(store.clone(), listener, settings).await?;
    let forgetting = config.keep_history.map(|keep| tokio::spawn(history::keep(store.clone(), keep)));
    // Every arm may be cancelled: signals and the failure stay to be seen.
    tokio::select! {
        _ = terminated.recv() => tracing::info!("asked to stop by SIGTERM"),
        _ = interrupted.recv() => tracing::info!("asked to stop by SIGINT"),
        error = controller.failed() => return Err(error.into()),
    }
    if let Some(forgetting) = forgetting {
        // Each of its steps is whole in itself; what is left is forgotten after the next start.
        forgetting.abort();
    }
    controller.stop().await?;
    store.close().await;
    tracing::info!("stopped");
    Ok(())
}
