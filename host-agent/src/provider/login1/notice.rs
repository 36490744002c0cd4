//! Notices: what one session of a machine is shown, and where.

use super::machine::{Current, Machine, cannot, since_boot};
use super::{bus::Failure, desktop, is_session_id, scope, terminal};
use crate::provider::{Error, NoticeReply};
use curfew_types::SessionKey;
use futures::{StreamExt as _, TryStreamExt as _};
use std::time::{Duration, SystemTime};
use zbus::Connection;

/// Most sessions told at the same time: desktops that do not answer do not hold up the others for long.
const TOLD_AT_ONCE: usize = 16;

impl Machine<'_> {
    /// Shows `text` to these sessions: on their terminals, and on the desktop where there is one. One reply a session.
    ///
    /// # Errors
    /// When logind cannot be asked at all.
    pub(in crate::provider) async fn notify(
        &self,
        sessions: &[SessionKey],
        text: &str,
        deadline: Duration,
    ) -> Result<Vec<NoticeReply>, Error> {
        let failed = |failure: Failure| cannot("showing a notice", &failure);
        let bus = self.bus.connection().await.map_err(failed)?;
        let each: Vec<_> = sessions.iter().map(|key| self.tell(&bus, key, text, deadline)).collect();
        futures::stream::iter(each).buffered(TOLD_AT_ONCE).try_collect().await.map_err(failed)
    }

    async fn tell(
        &self,
        bus: &Connection,
        key: &SessionKey,
        text: &str,
        deadline: Duration,
    ) -> Result<NoticeReply, Failure> {
        if !is_session_id(&key.id) {
            return Ok(NoticeReply::Gone);
        }
        match self.current(bus, key).await {
            Ok(Some(current)) => Ok(self.show(bus, &current, text, deadline).await),
            Ok(None) | Err(Failure::Gone) => Ok(NoticeReply::Gone),
            // Without logind nothing more can be said of any of them.
            Err(failure @ (Failure::Nobody(_) | Failure::Denied(_))) => Err(failure),
            Err(failure) => Ok(NoticeReply::NotShown(cannot("showing a notice", &failure).message)),
        }
    }

    async fn show(&self, bus: &Connection, current: &Current, text: &str, deadline: Duration) -> NoticeReply {
        let properties = &current.seen.properties;
        // Some logind do not know an ssh session's terminal; and what runs in windows has terminals of its own.
        let processes = scope::processes(bus, self.root, &current.seen.scope).await;
        let mut terminals = scope::terminals(&processes.unwrap_or_default());
        if !terminals.contains(&properties.tty) {
            terminals.push(properties.tty.clone());
        }
        // A desktop's own terminal shows no text.
        terminals.retain(|name| !(name.is_empty() || properties.is_graphical() && *name == properties.tty));
        let mut why_not = Vec::new();
        let mut is_shown = false;
        if !terminals.is_empty() {
            match self.write(terminals, text, deadline).await {
                Ok(()) => is_shown = true,
                Err(why) => why_not.push(why),
            }
        }
        if let (true, Some(uid)) = (properties.is_graphical(), current.seen.uid) {
            match desktop::show(self.root, uid, text).await {
                Ok(()) => is_shown = true,
                Err(why) => why_not.push(why),
            }
        }
        match (is_shown, why_not.is_empty()) {
            (true, _) => NoticeReply::Shown,
            (false, true) => NoticeReply::NotShown("it has no terminal and no desktop".into()),
            (false, false) => NoticeReply::NotShown(why_not.join("; ")),
        }
    }

    /// Writes to all of them; well if one of them took it.
    async fn write(&self, terminals: Vec<String>, text: &str, deadline: Duration) -> Result<(), String> {
        let framed = terminal::framed(text, SystemTime::now());
        let job = self.root.work(move |root| {
            if since_boot() >= deadline {
                return Err(std::io::Error::other("it came too late"));
            }
            let written: Vec<_> = terminals.iter().map(|name| terminal::write(root, name, &framed)).collect();
            Ok(written)
        });
        let written = job.await.map_err(|error| error.to_string())?;
        if written.iter().any(Result::is_ok) {
            return Ok(());
        }
        Err(written.into_iter().filter_map(Result::err).collect::<Vec<_>>().join("; "))
    }
}
