//! Salt: a master and a few real minions on loopback, with their defaults but for paths and ports, and `test.ping`.

use super::site::{Site, free_port};
use super::{Run, few, point, product};
use anyhow::{Context as _, ensure};
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

/// A minion takes a hundred megabytes and seconds to start.
const MOST: u32 = 16;
/// How long Salt's own client waits, in seconds: its default of 5 is too short on a busy machine.
const PATIENCE: &str = "60";

/// Measures `test.ping` of some of the minions, and of all.
///
/// # Errors
/// When Salt cannot be had, or not every minion answers.
pub(super) async fn measure(hosts: u32, rounds: usize) -> anyhow::Result<Run> {
    let salt = product::program("salt").await?;
    let mut site = Site::new()?;
    let version = site.version(&salt, "--version").await?;
    let many = hosts.min(MOST);
    start(&mut site, &salt, many).await?;
    let few = point(few(many), rounds, async || ping(&site, &salt, few(many)).await).await?;
    let many = point(many, rounds, async || ping(&site, &salt, many).await).await?;
    Ok(Run { version, few, many, rounds })
}

async fn start(site: &mut Site, salt: &Path, minions: u32) -> anyhow::Result<()> {
    let (user, _) = site.run(Path::new("id"), &["--user", "--name"], &[]).await?;
    let user = user.trim_end();
    let (publish, answers) = (free_port()?, free_port()?);
    let folder = site.path("");
    let folder = folder.to_str().context("the folder's path")?;
    let settings = format!(
        "user: {user}\ninterface: 127.0.0.1\npublish_port: {publish}\nret_port: {answers}\n\
         root_dir: {folder}m\nauto_accept: True\n"
    );
    site.write("m/master", &settings)?;
    site.start(&salt.with_file_name("salt-master"), &["-c", &format!("{folder}m")])?;
    for minion in 1..=minions {
        let settings = format!(
            "user: {user}\nid: minion{minion}\nmaster: 127.0.0.1\nmaster_port: {answers}\n\
             publish_port: {publish}\nroot_dir: {folder}{minion}\n"
        );
        site.write(&format!("{minion}/minion"), &settings)?;
        site.start(&salt.with_file_name("salt-minion"), &["-c", &format!("{folder}{minion}")])?;
    }
    site.wait_until("all minions answer", async || ping(site, salt, minions).await.is_ok()).await
}

/// Asks the first minions by name, and waits for all of them.
async fn ping(site: &Site, salt: &Path, minions: u32) -> anyhow::Result<Duration> {
    let names: Vec<String> = (1..=minions).map(|minion| format!("minion{minion}")).collect();
    let names = names.join(",");
    let settings = site.path("m");
    let settings = settings.to_str().context("the settings' path")?;
    let args =
        ["-c", settings, "--timeout", PATIENCE, "--out", "json", "--static", "-L", &names, "test.ping"];
    let (answers, took) = site.run(salt, &args, &[]).await?;
    let answers: HashMap<String, Value> = serde_json::from_str(&answers).context("Salt's answers")?;
    let answered = answers.values().filter(|answer| **answer == Value::Bool(true)).count();
    ensure!(answered == minions as usize, "{answered} of {minions} minions answered");
    Ok(took)
}
