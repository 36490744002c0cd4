//! A controller on a store that can be taken away, with operators and agents of a test's choice.

use crate::agent::Agent;
use async_trait::async_trait;
use curfew_controller::Controller;
use curfew_controller::data_dir::DataDir;
use curfew_controller::pki::{Authority, Issued, Material, PkiSource, TrustDomain};
use curfew_controller::store::{
    Error, OperationQuery, OperationSummary, Page, Pruned, SqliteStore, Store, StoredTask, TaskQuery,
};
use curfew_controller::tls::{Listener, ServerTls};
use curfew_controller_core::record::{Record, Recovered, TargetHost};
use curfew_controller_core::{ApprovalRule, Settings};
use curfew_proto::dial::{Credentials, Dial};
use curfew_proto::status::contract_code;
use curfew_proto::v1;
use curfew_proto::v1::fleet_service_client::FleetServiceClient;
use curfew_proto::v1::operation_service_client::OperationServiceClient;
use curfew_types::operation::OperationEvent;
use curfew_types::{HostName, OperationId, StatusCode, WallTime};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::watch;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

pub(crate) type Operations = OperationServiceClient<Channel>;
pub(crate) type Fleet = FleetServiceClient<Channel>;

/// A store whose disk can be full or hang: appends fail or wait then, reads go on.
struct Flaky {
    inner: SqliteStore,
    away: Arc<AtomicBool>,
    hangs: watch::Receiver<bool>,
}

#[async_trait]
impl Store for Flaky {
    async fn load(&self) -> Result<Recovered, Error> {
        self.inner.load().await
    }

    fn expect_targets(&self, hosts: &Arc<[TargetHost]>) {
        self.inner.expect_targets(hosts);
    }

    async fn append(&self, records: &[Record]) -> Result<(), Error> {
        if self.away.load(Ordering::SeqCst) {
            return Err(Error::Away { attempted: "append", source: "the disk is full".into() });
        }
        self.hangs.clone().wait_for(|hangs| !hangs).await.expect("a rig");
        self.inner.append(records).await
    }

    async fn operation(&self, id: OperationId) -> Result<Option<OperationSummary>, Error> {
        self.inner.operation(id).await
    }

    async fn operations(&self, query: &OperationQuery) -> Result<Page<OperationSummary>, Error> {
        self.inner.operations(query).await
    }

    async fn operation_by_request_id(
        &self,
        requester: &str,
        request_id: &str,
    ) -> Result<Option<OperationSummary>, Error> {
        self.inner.operation_by_request_id(requester, request_id).await
    }

    async fn tasks(&self, operation: OperationId, query: &TaskQuery) -> Result<Page<StoredTask>, Error> {
        self.inner.tasks(operation, query).await
    }

    async fn tasks_at(&self, operation: OperationId, indices: &[u32]) -> Result<Vec<StoredTask>, Error> {
        self.inner.tasks_at(operation, indices).await
    }

    async fn events(&self, operation: OperationId) -> Result<Vec<OperationEvent>, Error> {
        self.inner.events(operation).await
    }

    async fn prune(&self, before: WallTime) -> Result<Pruned, Error> {
        self.inner.prune(before).await
    }
}

/// A controller that can be restarted.
pub(crate) struct Rig {
    data_dir: DataDir,
    authority: Authority,
    endpoint: Arc<Mutex<String>>,
    settings: Settings,
    away: Arc<AtomicBool>,
    hangs: watch::Sender<bool>,
    controller: Option<Controller>,
    _directory: TempDir,
}

impl Rig {
    pub(crate) async fn start() -> Rig {
        Rig::with(ApprovalRule::default()).await
    }

    pub(crate) async fn with(approval: ApprovalRule) -> Rig {
        let directory = TempDir::new().expect("a directory");
        let data_dir = DataDir::ensure(&directory.path().join("data")).expect("a data directory");
        let (authority, _) = Authority::ensure(&data_dir, &TrustDomain::default()).expect("an authority");
        let mut rig = Rig {
            data_dir,
            authority,
            endpoint: Arc::default(),
            // Short, so that nothing here waits long for agents that come back after a restart.
            settings: Settings { heartbeat_ms: 200, approval, ..Settings::default() },
            away: Arc::default(),
            hangs: watch::Sender::new(false),
            controller: None,
            _directory: directory,
        };
        rig.open().await;
        rig
    }

    async fn open(&mut self) {
        let names = ["localhost".to_owned()];
        let domain = TrustDomain::default();
        let material =
            Material::ensure(&PkiSource::BuiltIn, &self.data_dir, &domain, &names).expect("material");
        let tls = ServerTls::new(material).expect("TLS");
        let listener = Listener::bind("127.0.0.1:0".parse().expect("an address"), tls).expect("a port");
        let inner = SqliteStore::open(&self.data_dir.store()).await.expect("a store");
        let store = Arc::new(Flaky { inner, away: self.away.clone(), hangs: self.hangs.subscribe() });
        let controller = Controller::start(store, listener, self.settings).await.expect("a controller");
        *self.endpoint.lock().expect("the endpoint") =
            format!("https://localhost:{}", controller.address().port());
        self.controller = Some(controller);
    }

    /// Stops the controller and starts another one on the same data.
    pub(crate) async fn restart(&mut self) {
        let controller = self.controller.take().expect("a controller");
        controller.stop().await.expect("a good end");
        // The listener's task may hold the store for a moment longer.
        for _ in 0..500 {
            match SqliteStore::open(&self.data_dir.store()).await {
                Ok(store) => {
                    store.close().await;
                    break;
                }
                Err(Error::InUse { .. }) => tokio::time::sleep(Duration::from_millis(10)).await,
                Err(error) => panic!("{error:?}"),
            }
        }
        self.open().await;
    }

    /// The disk is full from now on, or has room again.
    pub(crate) fn set_store_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    /// Whatever is appended from now on waits, or goes on.
    pub(crate) fn set_store_hanging(&self, hangs: bool) {
        self.hangs.send_replace(hangs);
    }

    fn endpoint(&self) -> String {
        self.endpoint.lock().expect("the endpoint").clone()
    }

    async fn channel(&self, operator: &str) -> Channel {
        let issued = self.authority.issue_operator(operator).expect("a certificate");
        let dial = Dial::new(&self.endpoint(), credentials(self.authority.certificate_pem(), &issued))
            .expect("a dial");
        dial.connect().await.expect("a connection")
    }

    /// A client of an operator's.
    pub(crate) async fn operations(&self, operator: &str) -> Operations {
        OperationServiceClient::new(self.channel(operator).await)
    }

    /// A client of alice's.
    pub(crate) async fn fleet(&self) -> Fleet {
        FleetServiceClient::new(self.channel("alice").await)
    }

    /// Calls as an agent, which is no operator.
    pub(crate) async fn as_agent(&self) -> (Operations, Fleet) {
        let host: HostName = "stranger".parse().expect("a name");
        let issued = self.authority.issue_agent(&host).expect("a certificate");
        let dial = Dial::new(&self.endpoint(), credentials(self.authority.certificate_pem(), &issued))
            .expect("a dial");
        let channel = dial.connect().await.expect("a connection");
        (OperationServiceClient::new(channel.clone()), FleetServiceClient::new(channel))
    }

    /// An agent of today's, once its guests are known.
    pub(crate) async fn agent(&self, host: &str, guests: u32) -> Agent {
        let knows = ["session_filters", "notice", "force", "drain", "protected_users"];
        self.agent_knowing(host, guests, &knows).await
    }

    /// An agent that knows these options.
    pub(crate) async fn agent_knowing(&self, host: &str, guests: u32, knows: &[&'static str]) -> Agent {
        let issued = self.authority.issue_agent(&host.parse().expect("a name")).expect("a certificate");
        let endpoint = self.endpoint.clone();
        let authority = self.authority.certificate_pem().to_owned();
        let agent = Agent::start(host, guests, knows, move || {
            let endpoint = endpoint.lock().expect("the endpoint").clone();
            Dial::new(&endpoint, credentials(&authority, &issued)).expect("a dial")
        });
        self.wait_for_guests(&agent, guests).await;
        agent
    }

    pub(crate) async fn wait_for_guests(&self, agent: &Agent, guests: u32) {
        let mut fleet = self.fleet().await;
        let request =
            v1::ListGuestsRequest { hosts: vec![agent.host.clone()], ..v1::ListGuestsRequest::default() };
        until("its guests are known and it is connected", async || {
            let listed = fleet.list_guests(request.clone()).await.expect("guests").into_inner().guests;
            let there = listed.len() as u32 == guests && listed.iter().all(|guest| guest.host_connected);
            there.then_some(())
        })
        .await;
    }
}

fn credentials(authority: &str, issued: &Issued) -> Credentials {
    let (certificate, key) = (issued.certificate_pem.as_bytes(), issued.key_pem.as_bytes());
    Credentials::from_pem(authority.as_bytes(), certificate, key).expect("credentials")
}

/// Asks until there is an answer.
pub(crate) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..1000 {
        if let Some(answer) = ask().await {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came about that {what}");
}

/// A request over the whole fleet.
pub(crate) fn everybody() -> v1::OperationSpec {
    let selection = v1::Selection { all: true, ..v1::Selection::default() };
    v1::OperationSpec { selection: Some(selection), ..v1::OperationSpec::default() }
}

pub(crate) fn number(number: u32) -> Option<v1::Amount> {
    Some(v1::Amount { amount: Some(v1::amount::Amount::Number(number)) })
}

/// Starts an operation.
pub(crate) async fn start(client: &mut Operations, spec: v1::OperationSpec) -> v1::Operation {
    let request = v1::StartOperationRequest { spec: Some(spec), ..v1::StartOperationRequest::default() };
    client.start_operation(request).await.expect("a start").into_inner().operation.expect("an operation")
}

pub(crate) async fn get(client: &mut Operations, id: &str) -> v1::Operation {
    let request = v1::GetOperationRequest { operation_id: id.to_owned() };
    client.get_operation(request).await.expect("an answer").into_inner().operation.expect("an operation")
}

/// Waits until an operation stands so.
pub(crate) async fn stands(client: &mut Operations, id: &str, state: v1::OperationState) -> v1::Operation {
    until(&format!("{id} is {state:?}"), async || {
        let operation = get(client, id).await;
        (operation.state() == state).then_some(operation)
    })
    .await
}

/// The words of what changed how an operation stands.
pub(crate) fn events(operation: &v1::Operation) -> Vec<&str> {
    operation.events.iter().map(|event| event.what.as_str()).collect()
}

/// The refusal of a call, with the code of the contract where it carries one.
pub(crate) fn refused<T: std::fmt::Debug>(
    answer: Result<T, Status>,
    code: Code,
    contract: Option<StatusCode>,
) -> String {
    let status = answer.expect_err("a refusal");
    assert_eq!((status.code(), contract_code(&status)), (code, contract), "{status:?}");
    status.message().to_owned()
}

/// Not as things stand now: the text says what to do.
pub(crate) fn not_now<T: std::fmt::Debug>(answer: Result<T, Status>) -> String {
    refused(answer, Code::FailedPrecondition, None)
}

/// The store is needed and away.
pub(crate) fn needs_store<T: std::fmt::Debug>(answer: Result<T, Status>) {
    let text = refused(answer, Code::Unavailable, None);
    assert!(text.contains("store is away"), "{text}");
}

/// The one field that a refusal names.
pub(crate) fn wrong_field<T: std::fmt::Debug>(answer: Result<T, Status>) -> String {
    let status = answer.expect_err("a refusal");
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert!(contract_code(&status).is_some(), "{status:?}");
    let details = status.get_error_details();
    details.bad_request().expect("a bad request").field_violations[0].field.clone()
}
