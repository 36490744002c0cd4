//! A process with real agents: real cores, links and ledgers; only their guests are simulated.

use super::guests::{Book, Counted};
use crate::child::{Answer, Ask, answer_until_closed};
use crate::scene::{FleetArgs, SPARE_FILES, data_dir, dial};
use crate::usage::raise_file_limit;
use curfew_agent::provider::simulated::{Simulated, SimulatedConfig};
use curfew_agent::{Agent, AgentHandle};
use curfew_controller::pki::{Authority, TrustDomain};
use curfew_types::HostName;
use std::path::Path;
use std::sync::Arc;

/// Descriptors that an agent needs.
const FILES_PER_AGENT: u64 = 3;
/// How long a session takes to go where it is to outlast any round, in milliseconds.
const LASTING_MS: u64 = 3_600_000;
/// How often guests are discovered: real hosts' guests seldom change, and these never do.
const DISCOVERY_INTERVAL: std::time::Duration = std::time::Duration::from_secs(3600);

/// Runs agents until nobody asks any more.
///
/// # Errors
/// When one of them cannot start.
pub(crate) async fn run(args: &FleetArgs) -> anyhow::Result<()> {
    raise_file_limit(u64::from(args.hosts()) * FILES_PER_AGENT + SPARE_FILES)?;
    let authority = Authority::open(&data_dir(&args.data_dir)?, &TrustDomain::default())?;
    let ledgers = ledgers(args.ledgers.as_deref())?;
    let mut waiting = Vec::new();
    let mut books = Vec::new();
    for number in args.first_host..=args.last_host {
        let host: HostName = format!("host-{number}").parse()?;
        let dial = dial(&authority, &args.endpoint(), &authority.issue_agent(&host)?)?.without_keepalive();
        let guests = Simulated::new(&guests(args, number, &host), &host)?;
        let book = Arc::new(Book::default());
        let provider = Arc::new(Counted::new(guests, Arc::clone(&book)));
        books.push((Arc::clone(&provider), book));
        let mut agent =
            Agent::new(host.clone(), Arc::new(dial), ledgers.path().join(host.as_str()), vec![provider]);
        agent.discovery_interval = DISCOVERY_INTERVAL;
        waiting.push(agent);
    }
    let mut running: Vec<AgentHandle> = Vec::new();
    answer_until_closed("", |ask| {
        let answer = match ask {
            Ask::Start => waiting
                .drain(..)
                .try_for_each(|agent| agent.start().map(|agent| running.push(agent)))
                .map(|()| Answer::Done)
                .map_err(Into::into),
            Ask::Attached => {
                Ok(Answer::Count(running.iter().filter(|agent| agent.is_attached()).count() as u64))
            }
            Ask::LogOn => {
                for (provider, book) in &books {
                    provider.log_everybody_on();
                    book.forget();
                }
                Ok(Answer::Done)
            }
            Ask::Truth => {
                let truths = books.iter().map(|(_, book)| book.truth());
                Ok(Answer::Truth(truths.fold(Default::default(), crate::child::Truth::and)))
            }
            _ => Err(anyhow::anyhow!("agents know nothing of {ask:?}")),
        };
        std::future::ready(answer)
    })
    .await?;
    for agent in running {
        agent.kill().await;
    }
    Ok(ledgers.close()?)
}

fn guests(args: &FleetArgs, number: u32, host: &HostName) -> SimulatedConfig {
    SimulatedConfig {
        seed: number.into(),
        name_prefix: format!("{host}-desk-"),
        delay_ms: if args.lasting { LASTING_MS } else { 0 },
        delay_spread_ms: args.spread_ms.into(),
        ..SimulatedConfig::healthy(args.guests)
    }
}

/// Where the ledgers lie: in memory where nothing else is said and the machine has a place for that. Thousands of hosts
/// share one disk here, which no real fleet does.
fn ledgers(asked: Option<&Path>) -> anyhow::Result<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    let mut builder = tempfile::Builder::new();
    builder.prefix("curfew-ledgers-");
    Ok(match asked {
        Some(disk) => builder.tempdir_in(disk)?,
        None if memory.is_dir() => builder.tempdir_in(memory)?,
        None => builder.tempdir()?,
    })
}
