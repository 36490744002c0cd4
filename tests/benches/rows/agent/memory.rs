//! The memory of `curfew-agent` as it ships: the program itself, built beside the bench, with a ledger on a real disk.

use super::{ATTACH_WITHIN, GUESTS, LOOK_EVERY};
use crate::child::{Ask, Child};
use crate::rows::burst;
use crate::scene::{FleetArgs, Scene, client, data_dir};
use anyhow::{Context as _, ensure};
use curfew_controller::pki::{Authority, TrustDomain};
use curfew_proto::v1;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;
use tokio::process::Command;

/// The one host.
const HOST: &str = "host-1";

/// Resident bytes after so many logoffs of all its guests.
pub(super) async fn measure(scene: &Scene, rounds: u32) -> anyhow::Result<u64> {
    let program = program().await?;
    let mut args = scene.fleet("one-agent", 1, GUESTS)?;
    let (mut controller, port) = Child::start("controller", &args.words()).await?;
    args.port = port.parse().context("the controller's port")?;
    let config = configure(scene, &args)?;
    let mut agent = Command::new(program)
        .arg("--config")
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("starting curfew-agent")?;
    let began = Instant::now();
    while controller.count(Ask::Guests).await? < u64::from(GUESTS) {
        ensure!(began.elapsed() < ATTACH_WITHIN, "curfew-agent did not attach in {ATTACH_WITHIN:?}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let client = client(&args).await?;
    for _ in 0..rounds {
        let operation_id = burst::start(&client, v1::OperationSpec::default()).await?;
        let wait = v1::WaitOperationRequest { operation_id, timeout: None };
        client.operations().wait_operation(wait).await?;
    }
    let resident = resident(agent.id().context("curfew-agent has ended")?)?;
    agent.kill().await?;
    controller.stop().await?;
    Ok(resident)
}

/// The agent's program, built as the bench was, without what only tests switch on.
async fn program() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("this program's own path")?;
    let target = own.ancestors().nth(2).context("where programs are built")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--locked", "--package", "curfew-agent"]);
    build.args((!cfg!(debug_assertions)).then_some("--release"));
    build.arg("--target-dir").arg(target).current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
    let built = build.status().await.context("running cargo")?;
    ensure!(built.success(), "curfew-agent could not be built: {built}");
    Ok(own.with_file_name("curfew-agent"))
}

/// Issues the agent's certificate and writes its configuration.
fn configure(scene: &Scene, args: &FleetArgs) -> anyhow::Result<PathBuf> {
    let authority = Authority::open(&data_dir(&args.data_dir)?, &TrustDomain::default())?;
    let issued = authority.issue_agent(&HOST.parse()?)?;
    let file = |name: &str, text: &str| -> anyhow::Result<String> {
        let path = scene.path(name);
        curfew_controller::data_dir::write_private(&path, text.as_bytes())?;
        text_of(&path)
    };
    let simulated = toml::Table::from_iter([("guests".to_owned(), i64::from(GUESTS).into())]);
    let config = toml::Table::from_iter([
        ("controller".to_owned(), args.endpoint().into()),
        ("ca".to_owned(), file("agent-ca.pem", authority.certificate_pem())?.into()),
        ("certificate".to_owned(), file("agent-cert.pem", &issued.certificate_pem)?.into()),
        ("key".to_owned(), file("agent-key.pem", &issued.key_pem)?.into()),
        ("data_dir".to_owned(), text_of(&scene.path("agent-ledger"))?.into()),
        ("providers".to_owned(), toml::Table::from_iter([("simulated".to_owned(), simulated.into())]).into()),
    ]);
    let path = scene.path("agent.toml");
    std::fs::write(&path, toml::to_string(&config)?).context("writing the agent's configuration")?;
    Ok(path)
}

fn text_of(path: &Path) -> anyhow::Result<String> {
    path.to_str().map(str::to_owned).context("the bench's directory has a name that is not text")
}

fn resident(pid: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).context("reading its status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("its resident memory")?;
    let kib: u64 = line.split_whitespace().next().context("a size")?.parse()?;
    Ok(kib * 1024)
}
