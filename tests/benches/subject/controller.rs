//! A process with the real controller, on a store of its own.

use crate::child::{Answer, Ask, answer_until_closed};
use crate::scene::{FleetArgs, SPARE_FILES, data_dir};
use crate::usage::raise_file_limit;
use curfew_controller::Controller;
use curfew_controller::pki::{Material, PkiSource, TrustDomain};
use curfew_controller::store::SqliteStore;
use curfew_controller::tls::{Listener, ServerTls};
use curfew_controller_core::Settings;
use std::net::SocketAddr;
use std::sync::Arc;

/// Serves until nobody asks any more.
///
/// # Errors
/// When the controller cannot start.
pub(crate) async fn run(args: &FleetArgs) -> anyhow::Result<()> {
    raise_file_limit(u64::from(args.hosts()) + SPARE_FILES)?;
    let data_dir = data_dir(&args.data_dir)?;
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let material = Material::ensure(&PkiSource::BuiltIn, &data_dir, &TrustDomain::default(), &names)?;
    let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], args.port)), ServerTls::new(material)?)?;
    let store = SqliteStore::open(&data_dir.store()).await?;
    let settings = Settings {
        heartbeat_ms: args.heartbeat_ms,
        boot: curfew_controller::clock::boot(),
        ..Settings::default()
    };
    let controller = Controller::start(Arc::new(store), listener, settings).await?;
    let handle = controller.handle().clone();
    answer_until_closed(&controller.address().port().to_string(), |ask| {
        let handle = handle.clone();
        async move {
            Ok(Answer::Count(match ask {
                Ask::Attached => handle.ask_safer(|core, _| core.connected_hosts() as u64).await?.value,
                Ask::Guests => handle.ask_safer(|core, _| core.guest_count() as u64).await?.value,
                _ => anyhow::bail!("the controller's process knows nothing of {ask:?}"),
            }))
        }
    })
    .await?;
    controller.stop().await?;
    Ok(())
}
