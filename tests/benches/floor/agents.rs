//! The floor's agents: each holds one stream, and answers a batch with three: accepted, under way, ended.

use super::{findings, progress};
use crate::agreement::stamp;
use crate::child::{Answer, Ask, answer_until_closed};
use crate::scene::{FleetArgs, SPARE_FILES, data_dir, dial};
use crate::usage::raise_file_limit;
use curfew_controller::pki::{Authority, TrustDomain};
use curfew_proto::agent::v1::agent_service_client::AgentServiceClient;
use curfew_proto::agent::v1::{AttachRequest, Hello, attach_request, attach_response};
use curfew_proto::dial::Dial;
use curfew_proto::v1::Stage;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// Files an agent needs.
const FILES_PER_AGENT: u64 = 2;
/// The longest first pause before dialling again, and the longest at all, as Curfew's agents have them.
const PAUSE_FIRST: Duration = Duration::from_millis(500);
const PAUSE_LONGEST: Duration = Duration::from_secs(15);

struct Agent {
    host: String,
    dial: Dial,
    guests: u32,
    spread_ms: u32,
    attached: Arc<AtomicU64>,
}

/// Runs agents until nobody asks any more.
///
/// # Errors
/// When their certificates cannot be issued.
pub(crate) async fn run(args: &FleetArgs) -> anyhow::Result<()> {
    raise_file_limit(u64::from(args.hosts()) * FILES_PER_AGENT + SPARE_FILES)?;
    let authority = Authority::open(&data_dir(&args.data_dir)?, &TrustDomain::default())?;
    let attached = Arc::new(AtomicU64::new(0));
    let mut agents = Vec::new();
    for number in args.first_host..=args.last_host {
        let host = format!("host-{number}");
        let dial =
            dial(&authority, &args.endpoint(), &authority.issue_agent(&host.parse()?)?)?.without_keepalive();
        let attached = Arc::clone(&attached);
        agents.push(Agent { host, dial, guests: args.guests, spread_ms: args.spread_ms, attached });
    }
    answer_until_closed("", |ask| {
        let attached = attached.load(Ordering::Relaxed);
        let starting = if ask == Ask::Start { std::mem::take(&mut agents) } else { Vec::new() };
        async move {
            for agent in starting {
                tokio::spawn(agent.run());
            }
            Ok(if ask == Ask::Attached { Answer::Count(attached) } else { Answer::Done })
        }
    })
    .await
}

impl Agent {
    async fn run(self) {
        let mut failures = 0_u32;
        let mut dice = stamp(&self.host, std::process::id());
        loop {
            if self.hold().await.is_some() {
                failures = 0;
            }
            let longest = PAUSE_FIRST.saturating_mul(1 << failures.min(16)).min(PAUSE_LONGEST);
            failures += 1;
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            tokio::time::sleep(longest.mul_f64((dice >> 11) as f64 / (1_u64 << 53) as f64)).await;
        }
    }

    /// Holds one stream until it ends; `None` where none came about.
    async fn hold(&self) -> Option<()> {
        let channel = self.dial.connect().await.ok()?;
        let (up_tx, up_rx) = mpsc::channel(16);
        let hello = Hello { protocol_version: 1, host: self.host.clone(), ..Hello::default() };
        let hello = AttachRequest { message: Some(attach_request::Message::Hello(hello)) };
        up_tx.send(hello).await.ok()?;
        let mut client = AgentServiceClient::new(channel);
        let mut down = client.attach(ReceiverStream::new(up_rx)).await.ok()?.into_inner();
        down.message().await.ok()??;
        self.attached.fetch_add(1, Ordering::Relaxed);
        while let Ok(Some(message)) = down.message().await {
            if let Some(attach_response::Message::Order(_)) = message.message
                && self.obey(&up_tx).await.is_none()
            {
                break;
            }
        }
        self.attached.fetch_sub(1, Ordering::Relaxed);
        Some(())
    }

    async fn obey(&self, up_tx: &mpsc::Sender<AttachRequest>) -> Option<()> {
        up_tx.send(progress(self.guests, Stage::Accepted)).await.ok()?;
        up_tx.send(progress(self.guests, Stage::Verifying)).await.ok()?;
        if self.spread_ms == 0 {
            return up_tx.send(findings(&self.host, 0..self.guests)).await.ok();
        }
        let pace = |index| (stamp(&self.host, index) % u64::from(self.spread_ms), index);
        let mut times: Vec<(u64, u32)> = (0..self.guests).map(pace).collect();
        times.sort_unstable();
        let began = tokio::time::Instant::now();
        for (ms, index) in times {
            tokio::time::sleep_until(began + Duration::from_millis(ms)).await;
            up_tx.send(findings(&self.host, index..index + 1)).await.ok()?;
        }
        Some(())
    }
}
