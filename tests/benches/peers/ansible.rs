//! Ansible: one ad-hoc command to an inventory of hosts that are all this machine, through the local connection.

use super::site::Site;
use super::{Point, Run, few, point, product};
use anyhow::{Context as _, ensure};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// As operators raise it from its default of 5.
const FORKS: &str = "50";
/// `command` starts a Python of its own for every host: a tenth of the hosts say the same.
const MOST_WITH_A_MODULE: u32 = 100;
const MOST: u32 = 1_000;

/// Measures an ad-hoc run of `raw` or of `command`.
///
/// # Errors
/// When Ansible cannot be had, or not every host answers.
pub(super) async fn measure(module: &'static str, hosts: u32, rounds: usize) -> anyhow::Result<Run> {
    let program = product::program("ansible").await?;
    let site = Site::new()?;
    let version = site.version(&program, "--version").await?;
    let most = if module == "raw" { MOST } else { MOST_WITH_A_MODULE };
    let many = hosts.min(most);
    let few = measure_point(&site, &program, module, few(many), rounds).await?;
    let many = measure_point(&site, &program, module, many, rounds).await?;
    Ok(Run { version, few, many, rounds })
}

async fn measure_point(
    site: &Site,
    program: &Path,
    module: &str,
    hosts: u32,
    rounds: usize,
) -> anyhow::Result<Point> {
    let inventory = inventory(site, program, hosts)?;
    point(hosts, rounds, async || round(site, program, &inventory, module, hosts).await).await
}

fn inventory(site: &Site, program: &Path, hosts: u32) -> anyhow::Result<PathBuf> {
    let python = program.with_file_name("python");
    // Told, so that no time goes into looking for one.
    let python = python.to_str().context("the path of Ansible's Python")?;
    // By default it lies in the home of this user, whatever the environment says.
    let modules = site.path("modules");
    let modules = modules.to_str().context("the folder of modules")?;
    let text = format!(
        "[all]\nhost[1:{hosts}]\n[all:vars]\nansible_connection=local\nansible_python_interpreter={python}\n\
         ansible_remote_tmp={modules}\n"
    );
    site.write(&format!("inventory-{hosts}.ini"), &text)
}

async fn round(
    site: &Site,
    program: &Path,
    inventory: &Path,
    module: &str,
    hosts: u32,
) -> anyhow::Result<Duration> {
    let inventory = inventory.to_str().context("the inventory's path")?;
    let args = ["all", "--inventory", inventory, "--forks", FORKS, "--module-name", module, "--args", "true"];
    let quiet = [("ANSIBLE_DEPRECATION_WARNINGS", "False"), ("ANSIBLE_NOCOLOR", "True")];
    let (answers, took) = site.run(program, &args, &quiet).await?;
    let answered = answers.lines().filter(|line| line.contains(" | CHANGED | rc=0 ")).count();
    ensure!(answered == hosts as usize, "{answered} of {hosts} hosts answered");
    Ok(took)
}
