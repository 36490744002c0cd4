//! A guest that is held now and then: from when it is seen to be confirmed until somebody asks to release it, none of
//! its sessions may be ended.

use anyhow::ensure;
use curfew_tests::processes::ProcessFleet;
use std::time::{SystemTime, UNIX_EPOCH};

/// From when until when a guest was surely held, in milliseconds since the Unix epoch.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) guest: String,
    pub(super) from_ms: u64,
    pub(super) until_ms: u64,
}

/// The hold that is in force or asked for, and those of before.
#[derive(Default)]
pub(super) struct Holds {
    guest: Option<String>,
    /// When it was first seen to be confirmed.
    confirmed_ms: Option<u64>,
    pub(super) past: Vec<Held>,
}

impl Holds {
    /// Goes one step on: asks for a hold, sees whether it is confirmed, or releases it. `guest` is who is next.
    pub(super) async fn step(&mut self, fleet: &ProcessFleet, guest: String) -> anyhow::Result<()> {
        let Some(held) = &self.guest else {
            // It may be in force although the answer was lost.
            self.guest = Some(guest.clone());
            return fleet.curfew(&["guest", "hold", &guest, "--reason", "a test"]).await.map(drop);
        };
        if self.confirmed_ms.is_some() {
            return self.release(fleet).await.map(drop);
        }
        let asked_again = fleet.curfew(&["guest", "hold", held, "--reason", "a test"]).await?;
        let listed = fleet.curfew(&["guest", "holds", "-o", "json"]).await?;
        let listed: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap_or_default();
        let own = listed["holds"].as_array().into_iter().flatten().find(|hold| hold["guestName"] == **held);
        if asked_again.code == Some(0) && own.is_some_and(|hold| hold["confirmed"] == true) {
            self.confirmed_ms = Some(now_ms());
        }
        Ok(())
    }

    /// Asks to release the guest. Returns whether nothing is held any more.
    pub(super) async fn release(&mut self, fleet: &ProcessFleet) -> anyhow::Result<bool> {
        let Some(guest) = self.guest.clone() else { return Ok(true) };
        if let Some(from_ms) = self.confirmed_ms.take() {
            self.past.push(Held { guest: guest.clone(), from_ms, until_ms: now_ms() });
        }
        let released = fleet.curfew(&["guest", "release", &guest]).await?;
        // Asked again after a lost answer, there is none to release.
        let is_free = released.code == Some(0) || released.stderr.contains("not held");
        if is_free {
            self.guest = None;
        }
        Ok(is_free)
    }

    /// None of these ends happened in a guest while it was held.
    pub(super) fn check(&self, ended: &[serde_json::Value]) -> anyhow::Result<()> {
        for end in ended {
            let at_ms = end["at_ms"].as_u64().unwrap_or_default();
            let while_held =
                |held: &&Held| end["guest"] == *held.guest && (held.from_ms..held.until_ms).contains(&at_ms);
            let held = self.past.iter().find(while_held);
            ensure!(held.is_none(), "a session was ended while its guest was held: {end}, {held:?}");
        }
        Ok(())
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
