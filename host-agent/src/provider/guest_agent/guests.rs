//! A provider over guest agents: keeps what is known of each guest, gives each exchange its turn, and hands it to who
//! knows the guest's system.

use super::channel::{AgentChannel, silent};
use super::system::{self, System};
use super::target::{Target, lock};
use crate::provider::{
    DrainOrder, DrainReply, EndMode, EndReply, Error, Look, NoticeReply, Provider, SessionList, UndrainReply,
};
use async_trait::async_trait;
use curfew_types::label::Labels;
use curfew_types::{Guest, GuestId, OnlyIf, OsFamily, PowerState, SessionKey, StatusCode};
use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{OwnedMutexGuard, Semaphore};
use tokio::time::{Instant, timeout_at};

/// How long a guest may take to say what runs in it, when nobody waits for the answer.
pub(in crate::provider) const OS_WAIT: Duration = Duration::from_secs(2);
/// Most guests asked what runs in them at the same time, so that a large host's start is no storm.
const OS_ASKED_AT_ONCE: usize = 4;

/// Which guests there are, and a way to the agent of each.
#[async_trait]
pub(in crate::provider) trait Reach: Send + Sync + 'static {
    /// Where a guest is, as far as it takes to reach it. One that changed is another guest to start anew with.
    type Place: Clone + PartialEq + Debug + Send + Sync;

    /// The provider's name.
    const NAME: &'static str;

    /// All guests now, ordered by name, each identity once. Must not wait for a guest.
    ///
    /// # Errors
    /// When they cannot be listed at all.
    async fn look(&self) -> Result<Vec<Seen<Self::Place>>, Error>;

    /// Whether the guest could answer now; asked before each exchange, so that nothing is sent into a paused one.
    ///
    /// # Errors
    /// Not running, paused, or not available yet when its agent is known not to be there.
    async fn check(&self, name: &str, place: &Self::Place) -> Result<(), Error>;

    /// Opens a channel to the guest's agent, which has to be done with by `deadline`.
    ///
    /// # Errors
    /// When its agent is not there, may not be reached, or did not answer in time.
    async fn open(&self, place: &Self::Place, deadline: Instant) -> Result<Box<dyn AgentChannel>, Error>;
}

/// A guest that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::provider) struct Seen<P> {
    /// Its identity.
    pub(in crate::provider) id: GuestId,
    /// Its name.
    pub(in crate::provider) name: String,
    /// Where it is.
    pub(in crate::provider) place: P,
    /// Whether it runs.
    pub(in crate::provider) power: PowerState,
    /// What its host says of it, all under `agent/`.
    pub(in crate::provider) labels: Labels,
}

/// The guests that one way reaches.
pub(in crate::provider) struct GuestAgents<R: Reach> {
    reach: Arc<R>,
    /// The guests of the last look, by identity.
    targets: Mutex<HashMap<GuestId, Arc<Target<R::Place>>>>,
    os_askers: Arc<Semaphore>,
}

/// A guest's turn, an open channel to it, and who handles what runs in it.
struct Exchange {
    system: System,
    channel: Box<dyn AgentChannel>,
    _turn: OwnedMutexGuard<()>,
}

impl<R: Reach> GuestAgents<R> {
    /// Opens nothing yet.
    pub(in crate::provider) fn new(reach: R) -> GuestAgents<R> {
        GuestAgents {
            reach: Arc::new(reach),
            targets: Mutex::default(),
            os_askers: Arc::new(Semaphore::new(OS_ASKED_AT_ONCE)),
        }
    }

    /// Looks at all guests and keeps what is known of those that are still where they were.
    async fn look(&self) -> Result<Vec<(Seen<R::Place>, Arc<Target<R::Place>>)>, Error> {
        let seen = self.reach.look().await?;
        let mut kept = lock(&self.targets);
        let mut known = std::mem::take(&mut *kept);
        let mut targets = Vec::with_capacity(seen.len());
        for guest in seen {
            let same =
                |target: &Arc<Target<R::Place>>| target.place == guest.place && target.name == guest.name;
            let target = known.remove(&guest.id).filter(same);
            let target = target.unwrap_or_else(|| Arc::new(Target::new(&guest.name, &guest.place)));
            kept.insert(guest.id.clone(), Arc::clone(&target));
            targets.push((guest, target));
        }
        Ok(targets)
    }

    async fn target(&self, guest: &GuestId) -> Result<Arc<Target<R::Place>>, Error> {
        if let Some(target) = lock(&self.targets).get(guest) {
            return Ok(Arc::clone(target));
        }
        let target = self.look().await?.into_iter().find(|(seen, _)| seen.id == *guest);
        let unknown =
            || Error::new(StatusCode::VmUnknown, format!("no guest has the id {:?}", guest.as_str()));
        target.map(|(_, target)| target).ok_or_else(unknown)
    }

    /// Opens a channel to a guest that could answer now, after its turn has come.
    async fn begin(&self, guest: &GuestId, deadline: Instant) -> Result<Exchange, Error> {
        let target = self.target(guest).await?;
        let turn = Arc::clone(&target.turn).lock_owned().await;
        self.reach.check(&target.name, &target.place).await?;
        let mut channel = self.reach.open(&target.place, deadline).await?;
        // The same machine can boot something else, so only Linux, which its scripts would notice, is remembered.
        if target.family() != OsFamily::Linux {
            let (family, labels) = system::ask(channel.as_mut()).await?;
            target.learn(family, labels);
        }
        Ok(Exchange { system: System::of(target.family(), &target.name)?, channel, _turn: turn })
    }

    /// Asks a running guest in the background what runs in it, unless it was asked lately or is busy.
    fn ask_in_background(&self, target: &Arc<Target<R::Place>>) {
        let now = Instant::now();
        if !target.is_due(now) {
            return;
        }
        let Ok(permit) = Arc::clone(&self.os_askers).try_acquire_owned() else {
            return;
        };
        target.put_off(now);
        let (reach, target) = (Arc::clone(&self.reach), Arc::clone(target));
        // Ends by itself within OS_WAIT, and holds nothing that anybody waits for longer.
        tokio::spawn(async move {
            let _permit = permit;
            let Ok(_turn) = target.turn.try_lock() else {
                return;
            };
            let deadline = Instant::now() + OS_WAIT;
            let ask = async {
                let mut channel = reach.open(&target.place, deadline).await?;
                system::ask(channel.as_mut()).await
            };
            if let Ok(Ok((family, labels))) = timeout_at(deadline, ask).await {
                target.learn(family, labels);
            }
        });
    }
}

#[async_trait]
impl<R: Reach> Provider for GuestAgents<R> {
    fn name(&self) -> &'static str {
        R::NAME
    }

    async fn discover(&self) -> Result<Vec<Guest>, Error> {
        let shown = |(seen, target): (Seen<R::Place>, Arc<Target<R::Place>>)| {
            match seen.power {
                PowerState::Running | PowerState::Unknown => self.ask_in_background(&target),
                PowerState::Stopped => target.forget(),
                PowerState::Paused => {}
            }
            // What the host says counts for more than what the guest says.
            let (os, mut labels) = target.os();
            labels.extend(seen.labels);
            Guest {
                id: seen.id,
                name: seen.name.into(),
                provider: R::NAME.into(),
                os,
                power: seen.power,
                is_host: false,
                labels,
            }
        };
        Ok(self.look().await?.into_iter().map(shown).collect())
    }

    async fn list_sessions(
        &self,
        guest: &GuestId,
        look: Look,
        budget: Duration,
    ) -> Result<SessionList, Error> {
        let deadline = Instant::now() + budget;
        let work = async {
            let mut exchange = self.begin(guest, deadline).await?;
            exchange.system.list(exchange.channel.as_mut(), look).await
        };
        timeout_at(deadline, work).await.unwrap_or_else(|_| Err(silent()))
    }

    async fn notify(
        &self,
        guest: &GuestId,
        sessions: &[SessionKey],
        text: &str,
        budget: Duration,
    ) -> Result<Vec<NoticeReply>, Error> {
        let deadline = Instant::now() + budget;
        let work = async {
            let mut exchange = self.begin(guest, deadline).await?;
            exchange.system.notify(exchange.channel.as_mut(), sessions, text).await
        };
        timeout_at(deadline, work).await.unwrap_or_else(|_| Err(silent()))
    }

    async fn end_session(
        &self,
        guest: &GuestId,
        session: &SessionKey,
        how: EndMode,
        only_if: OnlyIf,
        budget: Duration,
    ) -> Result<EndReply, Error> {
        let deadline = Instant::now() + budget;
        let work = async {
            let mut exchange = self.begin(guest, deadline).await?;
            exchange.system.end(exchange.channel.as_mut(), session, how, only_if).await
        };
        timeout_at(deadline, work).await.unwrap_or_else(|_| Err(silent()))
    }

    async fn drain(
        &self,
        guest: &GuestId,
        order: &DrainOrder,
        budget: Duration,
    ) -> Result<DrainReply, Error> {
        let deadline = Instant::now() + budget;
        let work = async {
            let mut exchange = self.begin(guest, deadline).await?;
            exchange.system.drain(exchange.channel.as_mut(), order).await
        };
        timeout_at(deadline, work).await.unwrap_or_else(|_| Err(silent()))
    }

    async fn undrain(&self, guest: &GuestId, budget: Duration) -> Result<UndrainReply, Error> {
        let deadline = Instant::now() + budget;
        let work = async {
            let mut exchange = self.begin(guest, deadline).await?;
            exchange.system.undrain(exchange.channel.as_mut()).await
        };
        timeout_at(deadline, work).await.unwrap_or_else(|_| Err(silent()))
    }
}
