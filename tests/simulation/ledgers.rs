//! What befalls agents' ledgers: they are set back to an older image, and rewritten in fewer entries.

use crate::agent_shell;
use crate::world::World;
use curfew_agent_core::{Core, Entry};
use curfew_types::DrainOwner;

impl World {
    /// A host is set back to an older image, which boots. How old it is can only be seen by a controller that has
    /// stored something newer: a lesser step back is one that nobody could ever tell.
    pub(crate) fn roll_ledger_back(&mut self, place: usize, ms: u64) {
        let host = &self.hosts[place];
        // A ledger is rewritten whole, so no image has a part of that.
        let kept = host.rewritten + self.chances.shells.place(host.ledger.len() - host.rewritten + 1);
        let older = host.ledger[..kept].to_vec();
        let settings = agent_shell::settings(None);
        let now = host.clocks.now(self.t);
        let core = Core::recover(now, settings, String::new(), 0, older.clone());
        let known = self.controller.disk.counter_of(&host.name, host.incarnation);
        if core.hello(Vec::new(), 0).ledger.counter >= known {
            return;
        }
        self.reboot_host(place, ms, true);
        self.truth.ledger_rolled_back(place, &older);
        let host = &mut self.hosts[place];
        host.ledger = older;
        host.unjudged = true;
        host.doomed = None;
    }

    /// The shell rewrites the ledger in fewer entries; what an agent would begin again with must be the same.
    pub(crate) fn rewrite_ledger(&mut self, place: usize) {
        self.agent_turn(place);
        let settings = agent_shell::settings(self.planted.agent);
        let host = &mut self.hosts[place];
        let now = host.clocks.now(self.t);
        let Some(agent) = &mut host.process else { return };
        agent.core.forget_old(now);
        let summary: Vec<_> = agent.core.summary().into_iter().map(agent_shell::as_read_back).collect();
        let boot = format!("boot-{}", host.boot);
        let begin = |entries| {
            let core = Core::recover(now, settings, boot.clone(), host.incarnation, entries);
            let (mut hello, mut again) = (core.hello(Vec::new(), 0), core.summary());
            hello.ledger.counter = 0;
            again.remove(0);
            again.iter_mut().for_each(forget_who_was_killed);
            (hello, again)
        };
        let (mut before, mut after) = (begin(host.ledger.clone()), begin(summary.clone()));
        // A guest may be told once more to take logons, which harms nobody; that none is forgotten, its door shows.
        for entries in [&mut before.1, &mut after.1] {
            entries.retain(|entry| !matches!(entry, Entry::DrainOver { owner: DrainOwner::Hand, .. }));
        }
        host.rewritten = summary.len();
        host.ledger = summary;
        if before != after && self.planted.agent.is_none() {
            let text =
                format!("rewriting the ledger of host {place} changed it from {before:?} to {after:?}");
            self.truth.fail(3, text);
        }
    }
}

/// An agent that lives on knows better who was killed than its ledger, which says who may have been. What it tells of
/// them is checked where it does.
fn forget_who_was_killed(entry: &mut Entry) {
    if let Entry::Acting { targets, .. } = entry {
        targets.iter_mut().for_each(|target| target.forced = false);
    }
    if let Entry::Forcing { targets, .. } = entry {
        targets.clear();
    }
}
