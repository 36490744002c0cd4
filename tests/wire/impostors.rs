//! Agents and clients that are not what they say: each is refused with a status and a reason in the log, and the
//! controller goes on. Handshakes that fail have their tests beside the controller's TLS.

use anyhow::Context as _;
use curfew_agent::provider::simulated::SimulatedConfig;
use curfew_proto::agent::v1::agent_service_client::AgentServiceClient;
use curfew_proto::agent::v1::{self as wire, AttachRequest, attach_request, attach_response};
use curfew_proto::dial::{Credentials, Dial};
use curfew_proto::v1::operation_service_client::OperationServiceClient;
use curfew_proto::{status, v1};
use curfew_tests::processes::{ProcessFleet, provider};
use curfew_types::agent::{Finding, Hello, LedgerMark, Report, SafeguardsMark};
use curfew_types::{Drain, DrainOwner, DrainState, Outcome, Reason, StatusCode, Verdict, WallTime};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Streaming};

type Result = anyhow::Result<()>;

/// A stream that speaks as an agent and says what the test wants.
struct Impostor {
    up: mpsc::Sender<AttachRequest>,
    down: Streaming<wire::AttachResponse>,
}

async fn dial(fleet: &ProcessFleet, identity: &str) -> anyhow::Result<tonic::transport::Channel> {
    let directory = fleet.path(&format!("{identity}.identity"));
    let file = |name: &str| directory.join(name);
    let credentials = Credentials::from_files(&file("ca.pem"), &file("cert.pem"), &file("key.pem"))?;
    Ok(Dial::new(&format!("https://127.0.0.1:{}", fleet.port()), credentials)?.connect().await?)
}

impl Impostor {
    /// Attaches with the certificate of `identity`, claiming to be `claimed`.
    async fn attach(
        fleet: &ProcessFleet,
        identity: &str,
        claimed: &str,
    ) -> std::result::Result<Impostor, tonic::Status> {
        let channel =
            dial(fleet, identity).await.map_err(|error| tonic::Status::unknown(format!("{error:#}")))?;
        let (up, queue) = mpsc::channel(8);
        let hello = Hello {
            ledger: LedgerMark { incarnation: 7, counter: 1 },
            epoch_seen: 0,
            capabilities: Vec::new(),
            unfinished: Vec::new(),
            first_pending_sequence: 1,
            inventory_digest: 0,
            safeguards: SafeguardsMark::default(),
            drains: Vec::new(),
        };
        let hello = attach_request::Message::Hello(wire::Hello::new(hello, claimed, "0"));
        up.send(AttachRequest { message: Some(hello) })
            .await
            .map_err(|_| tonic::Status::unknown("closed"))?;
        let down = AgentServiceClient::new(channel).attach(ReceiverStream::new(queue)).await?.into_inner();
        Ok(Impostor { up, down })
    }

    async fn say(&self, message: attach_request::Message) -> Result {
        self.up.send(AttachRequest { message: Some(message) }).await.context("the stream is closed")
    }

    /// The status that ends the stream.
    async fn ends_with(mut self) -> anyhow::Result<tonic::Status> {
        let ended = async {
            loop {
                match self.down.message().await {
                    Ok(Some(_)) => {}
                    Ok(None) => anyhow::bail!("the stream ended without a status"),
                    Err(status) => return Ok(status),
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), ended).await.context("the stream goes on")?
    }
}

/// The controller still serves who is honest.
async fn goes_on(mut fleet: ProcessFleet) -> Result {
    fleet.add_agent("honest", provider("simulated", &SimulatedConfig::healthy(1))?).await?;
    let known = || async { fleet.curfew(&["guest", "show", "honest/simulated/guest-1"]).await?.success() };
    curfew_tests::guests::until("the honest agent's guest is known", Duration::from_secs(60), known).await?;
    fleet.curfew(&["logoff", "--host", "honest", "--yes"]).await?.success()?;
    fleet.finish().await
}

#[tokio::test]
async fn an_agent_that_claims_another_hosts_name_is_refused() -> Result {
    let mut fleet = ProcessFleet::start().await?;
    fleet.prepare_agent("liar", toml::Table::new()).await?;
    let refused = Impostor::attach(&fleet, "liar", "victim").await.err().context("it was let in")?;
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    assert_eq!(status::contract_code(&refused), Some(StatusCode::AccessDenied));
    assert!(fleet.controller()?.log().contains("claims another host's name"));
    goes_on(fleet).await
}

#[tokio::test]
async fn an_agent_that_reports_another_hosts_guest_is_cut_off() -> Result {
    let mut fleet = ProcessFleet::start().await?;
    let guests = SimulatedConfig { delay_ms: 60_000, ..SimulatedConfig::healthy(1) };
    fleet.add_agent("victim", provider("simulated", &guests)?).await?;
    fleet.wait_for_guests(1).await?;
    let started = fleet.curfew(&["logoff", "--all", "--yes", "--no-wait", "-o", "name"]).await?.success()?;
    let operation: curfew_types::OperationId = started.stdout.trim().parse()?;
    fleet.prepare_agent("liar", toml::Table::new()).await?;
    let liar = Impostor::attach(&fleet, "liar", "liar").await?;
    let verdict = Verdict::new(Outcome::Succeeded, StatusCode::Ok, Reason::SessionsEnded, "trust me");
    let guest = "victim/simulated/guest-1".parse()?;
    let finding = Finding { operation, index: 0, guest, verdict: verdict.into(), late: false };
    let ledger = LedgerMark { incarnation: 7, counter: 2 };
    let report = Report { first_sequence: 1, findings: vec![finding], ledger, ..Report::default() };
    liar.say(attach_request::Message::Report(report.into())).await?;
    let ended = liar.ends_with().await?;
    assert_eq!(ended.code(), Code::PermissionDenied, "{ended}");
    assert!(fleet.controller()?.log().contains("which is not its own"));
    let tasks = fleet.tasks(&operation.to_string()).await?;
    assert!(tasks["guest-1"]["verdict"].is_null(), "nothing was believed: {tasks:?}");
    fleet.curfew(&["operation", "cancel", &operation.to_string()]).await?.success()?;
    goes_on(fleet).await
}

#[tokio::test]
async fn an_inventory_with_another_hosts_guest_leaves_that_guest_alone() -> Result {
    let mut fleet = ProcessFleet::start().await?;
    fleet.add_agent("victim", provider("simulated", &SimulatedConfig::healthy(1))?).await?;
    fleet.wait_for_guests(1).await?;
    fleet.prepare_agent("liar", toml::Table::new()).await?;
    let liar = Impostor::attach(&fleet, "liar", "liar").await?;
    let stolen = wire::Guest {
        id: "victim/simulated/guest-1".into(),
        name: "mine".into(),
        provider: "simulated".into(),
        os: "linux".into(),
        power_state: v1::PowerState::Running.into(),
        ..wire::Guest::default()
    };
    let inventory = wire::Inventory { replace: true, upserts: vec![stolen], removed: Vec::new(), digest: 1 };
    liar.say(attach_request::Message::Inventory(inventory)).await?;
    fleet.controller()?.wait_for_log("whose id is another host's", Duration::from_secs(30)).await?;
    let guest = fleet.curfew_json(&["guest", "show", "victim/simulated/guest-1", "-o", "json"]).await?;
    assert_eq!(guest["host"], "victim", "{guest}");
    goes_on(fleet).await
}

#[tokio::test]
async fn a_drain_of_another_hosts_guest_is_not_believed() -> Result {
    let mut fleet = ProcessFleet::start().await?;
    fleet.add_agent("victim", provider("simulated", &SimulatedConfig::healthy(1))?).await?;
    fleet.wait_for_guests(1).await?;
    fleet.prepare_agent("liar", toml::Table::new()).await?;
    let liar = Impostor::attach(&fleet, "liar", "liar").await?;
    let drain = |guest: &str| -> anyhow::Result<Drain> {
        Ok(Drain {
            guest: guest.parse()?,
            owner: DrainOwner::Hand,
            until: WallTime(i64::MAX / 2),
            by: "trust me".into(),
            reason: String::new(),
            state: DrainState::InForce,
            problem: String::new(),
        })
    };
    let drains = Some(vec![drain("victim/simulated/guest-1")?, drain("liar/simulated/guest-1")?]);
    let report = Report { first_sequence: 1, drains, ..Report::default() };
    liar.say(attach_request::Message::Report(report.into())).await?;
    fleet
        .controller()?
        .wait_for_log("drains of guests that are not its own", Duration::from_secs(30))
        .await?;
    let told = fleet.drains().await?;
    let guests: Vec<_> = told.iter().map(|drain| drain["guestId"].as_str().unwrap_or_default()).collect();
    assert_eq!(guests, ["liar/simulated/guest-1"]);
    let guest = fleet.curfew_json(&["guest", "show", "victim/simulated/guest-1", "-o", "json"]).await?;
    assert!(guest["drainExpireTime"].is_null(), "{guest}");
    goes_on(fleet).await
}

#[tokio::test]
async fn a_second_stream_of_one_identity_is_refused_while_the_first_lives() -> Result {
    let mut fleet = ProcessFleet::start().await?;
    fleet.prepare_agent("twin", toml::Table::new()).await?;
    let mut first = Impostor::attach(&fleet, "twin", "twin").await?;
    let welcome = first.down.message().await?.and_then(|message| message.message);
    assert!(matches!(welcome, Some(attach_response::Message::Welcome(_))), "{welcome:?}");
    let second = Impostor::attach(&fleet, "twin", "twin").await.err().context("it was let in")?;
    assert_eq!(second.code(), Code::AlreadyExists, "{second}");
    drop(first);
    let again = || async { Ok(Impostor::attach(&fleet, "twin", "twin").await?) };
    curfew_tests::guests::until(
        "the newer one may come once the older is gone",
        Duration::from_secs(30),
        again,
    )
    .await?;
    assert!(fleet.controller()?.log().contains("another agent with this identity is attached"));
    goes_on(fleet).await
}

#[tokio::test]
async fn certificates_open_only_their_own_service() -> Result {
    let fleet = ProcessFleet::start().await?;
    fleet.prepare_agent("host-1", toml::Table::new()).await?;
    let channel = dial(&fleet, "host-1").await?;
    let request = v1::ListOperationsRequest::default();
    let refused =
        OperationServiceClient::new(channel).list_operations(request).await.err().context("it was let in")?;
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert_eq!(status::contract_code(&refused), Some(StatusCode::AccessDenied));
    goes_on(fleet).await
}

#[tokio::test]
async fn a_message_that_is_too_large_ends_its_stream_only() -> Result {
    let mut fleet = ProcessFleet::start().await?;
    fleet.prepare_agent("flood", toml::Table::new()).await?;
    let flood = Impostor::attach(&fleet, "flood", "flood").await?;
    let huge =
        wire::SessionsAnswer { message: "x".repeat(16 * 1024 * 1024), ..wire::SessionsAnswer::default() };
    flood.say(attach_request::Message::Sessions(huge)).await?;
    let ended = flood.ends_with().await?;
    assert_eq!(ended.code(), Code::OutOfRange, "{ended}");
    fleet.controller()?.wait_for_log("agent cut off", Duration::from_secs(30)).await?;
    goes_on(fleet).await
}

#[tokio::test]
async fn a_malformed_message_is_answered_with_the_field() -> Result {
    let mut fleet = ProcessFleet::start().await?;
    fleet.prepare_agent("garbler", toml::Table::new()).await?;
    let garbler = Impostor::attach(&fleet, "garbler", "garbler").await?;
    let finding = wire::Finding { guest_id: "no id".into(), ..wire::Finding::default() };
    let report = wire::Report {
        first_sequence: 1,
        findings: vec![finding],
        ledger: Some(wire::LedgerMark::default()),
        ..wire::Report::default()
    };
    garbler.say(attach_request::Message::Report(report)).await?;
    let ended = garbler.ends_with().await?;
    assert_eq!(ended.code(), Code::InvalidArgument, "{ended}");
    assert!(ended.message().contains("finding.verdict"), "{ended}");
    assert!(fleet.controller()?.log().contains("malformed"));
    goes_on(fleet).await
}
