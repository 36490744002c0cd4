//! A controller on a store that is there already, and an operator's client of it.

use curfew_controller::Controller;
use curfew_controller::data_dir::DataDir;
use curfew_controller::pki::{Authority, Material, PkiSource};
use curfew_controller::store::SqliteStore;
use curfew_controller::tls::{Listener, ServerTls};
use curfew_proto::dial::{Credentials, Dial};
use curfew_proto::identity::TrustDomain;
use curfew_proto::v1::operation_service_client::OperationServiceClient;
use std::net::SocketAddr;
use std::sync::Arc;
use tonic::transport::Channel;

/// A controller that serves, on a free port of loopback.
pub(super) struct Served {
    controller: Controller,
    operations: OperationServiceClient<Channel>,
}

impl Served {
    /// Starts a controller on the store in `data_dir`, and connects to it.
    ///
    /// # Errors
    /// When it does not start.
    pub(super) async fn start(data_dir: &DataDir) -> anyhow::Result<Served> {
        let domain = TrustDomain::default();
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let material = Material::ensure(&PkiSource::BuiltIn, data_dir, &domain, &names)?;
        let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), ServerTls::new(material)?)?;
        let store = SqliteStore::open(&data_dir.store()).await?;
        let controller = Controller::start(Arc::new(store), listener, Default::default()).await?;
        let authority = Authority::open(data_dir, &domain)?;
        let issued = authority.issue_operator("bench")?;
        let credentials = Credentials::from_pem(
            authority.certificate_pem().as_bytes(),
            issued.certificate_pem.as_bytes(),
            issued.key_pem.as_bytes(),
        )?;
        let endpoint = format!("https://localhost:{}", controller.address().port());
        let channel = Dial::new(&endpoint, credentials)?.connect().await?;
        Ok(Served { controller, operations: OperationServiceClient::new(channel) })
    }

    /// An operator's client of it.
    pub(super) fn operations(&self) -> OperationServiceClient<Channel> {
        self.operations.clone()
    }

    /// Stops it.
    ///
    /// # Errors
    /// When it did not end well.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        Ok(self.controller.stop().await?)
    }
}
