//! A fleet of real processes: the three programs as an installation would run them, on loopback, in a directory of
//! their own.
//!
//! Logs go to files there. A fleet that is finished with [`ProcessFleet::finish`] must not have logged an error.

pub mod clock;
mod people;
mod program;
pub mod small_disk;

pub use people::{SessionEnd, session_ends};
pub use program::{Output, Program, program};

use anyhow::{Context as _, ensure};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a program may take to be ready: many times what it needs on two loaded cores.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How often a process says something: short, so that tests of lost hosts do not take minutes.
pub const HEARTBEAT: Duration = Duration::from_secs(1);

/// A controller, agents and an operator.
pub struct ProcessFleet {
    directory: tempfile::TempDir,
    port: u16,
    controller: Option<Program>,
    agents: BTreeMap<String, Program>,
    kill_controller_at: Option<String>,
    /// What is added to the environment of `controller` and of hosts' agents.
    environment: BTreeMap<String, Vec<(String, String)>>,
}

impl ProcessFleet {
    /// Sets up and starts a controller.
    ///
    /// # Errors
    /// When it does not get ready.
    pub async fn start() -> anyhow::Result<ProcessFleet> {
        let mut fleet = ProcessFleet::prepare()?;
        fleet.init().await?;
        fleet.start_controller().await?;
        Ok(fleet)
    }

    /// A place and a configuration for a controller, and nothing that runs.
    ///
    /// # Errors
    /// When they cannot be made.
    pub fn prepare() -> anyhow::Result<ProcessFleet> {
        let directory = tempfile::Builder::new().prefix("curfew-fleet-").tempdir().context("a directory")?;
        let port = free_port()?;
        let fleet = ProcessFleet {
            directory,
            port,
            controller: None,
            agents: BTreeMap::new(),
            kill_controller_at: None,
            environment: BTreeMap::new(),
        };
        let config = toml::Table::from_iter([
            ("listen".to_owned(), format!("127.0.0.1:{port}").into()),
            ("data_dir".to_owned(), path_text(&fleet.path("controller"))?.into()),
            ("heartbeat_interval".to_owned(), format!("{}ms", HEARTBEAT.as_millis()).into()),
        ]);
        std::fs::write(fleet.path("controller.toml"), toml::to_string(&config)?)?;
        Ok(fleet)
    }

    /// Makes the controller's data directory, and an operator.
    ///
    /// # Errors
    /// When the controller's command fails.
    pub async fn init(&self) -> anyhow::Result<()> {
        let context = path_text(&self.path("operator/config.toml"))?;
        let init = ["init", "--operator", "tester", "--context-file", &context];
        self.controller_command(&init).await?.success().map(drop)
    }

    /// From its next start on, `controller` or a host's agent has these in its environment.
    pub fn set_environment(&mut self, program: &str, variables: Vec<(String, String)>) {
        self.environment.insert(program.to_owned(), variables);
    }

    fn command(&self, binary: &str, name: &str) -> anyhow::Result<tokio::process::Command> {
        let mut command = tokio::process::Command::new(program(binary)?);
        command.envs(self.environment.get(name).into_iter().flatten().map(|(key, value)| (key, value)));
        Ok(command)
    }

    /// Starts the controller, again if it was there before, and waits until it serves.
    ///
    /// # Errors
    /// When it does not.
    pub async fn start_controller(&mut self) -> anyhow::Result<()> {
        let config = path_text(&self.path("controller.toml"))?;
        let mut command = self.command("curfew-controller", "controller")?;
        command.args(["--config", &config]);
        if let Some(point) = self.kill_controller_at.take() {
            command.env("CURFEW_KILL_AT", point);
        }
        let program = Program::start("controller", command, &self.path("controller.log"))?;
        program.wait_for_log("serving", READY_WITHIN).await?;
        self.controller = Some(program);
        Ok(())
    }

    /// Asks the controller to stop, and waits until it has.
    ///
    /// # Errors
    /// When it does not run, or does not end well.
    pub async fn stop_controller(&mut self) -> anyhow::Result<()> {
        self.controller.take().context("the controller is not running")?.stop().await
    }

    /// The next start of the controller is armed to be killed at this point.
    pub fn kill_controller_at(&mut self, point: &str) {
        self.kill_controller_at = Some(format!("controller:{point}"));
    }

    /// The controller's process.
    ///
    /// # Errors
    /// When it is not running.
    pub fn controller(&mut self) -> anyhow::Result<&mut Program> {
        self.controller.as_mut().context("the controller is not running")
    }

    /// Issues a host's identity, unless it has one, and writes its agent's configuration.
    ///
    /// # Errors
    /// When the controller's command fails.
    pub async fn prepare_agent(&self, host: &str, providers: toml::Table) -> anyhow::Result<PathBuf> {
        let identity = self.path(&format!("{host}.identity"));
        if !identity.exists() {
            let issue = ["agent-cert", host, "--out", &path_text(&identity)?];
            self.controller_command(&issue).await?.success()?;
        }
        let config = toml::Table::from_iter([
            ("controller".to_owned(), format!("https://127.0.0.1:{}", self.port).into()),
            ("ca".to_owned(), path_text(&identity.join("ca.pem"))?.into()),
            ("certificate".to_owned(), path_text(&identity.join("cert.pem"))?.into()),
            ("key".to_owned(), path_text(&identity.join("key.pem"))?.into()),
            ("data_dir".to_owned(), path_text(&self.path(&format!("{host}.ledger")))?.into()),
            ("discovery_interval".to_owned(), "1s".into()),
            ("providers".to_owned(), providers.into()),
        ]);
        let file = self.path(&format!("{host}.toml"));
        std::fs::write(&file, toml::to_string(&config)?)?;
        Ok(file)
    }

    /// Prepares and starts an agent, and waits until it is attached.
    ///
    /// # Errors
    /// When it does not attach.
    pub async fn add_agent(&mut self, host: &str, providers: toml::Table) -> anyhow::Result<()> {
        self.prepare_agent(host, providers).await?;
        self.start_agent(host, None).await?;
        self.wait_until_connected(host).await
    }

    /// Starts a prepared agent, armed to be killed at a point if one is named.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub async fn start_agent(&mut self, host: &str, kill_at: Option<&str>) -> anyhow::Result<()> {
        let mut command = self.command("curfew-agent", host)?;
        command.args(["--config", &path_text(&self.path(&format!("{host}.toml")))?]);
        if let Some(point) = kill_at {
            command.env("CURFEW_KILL_AT", format!("agent:{point}"));
        }
        let program = Program::start(host, command, &self.path(&format!("{host}.log")))?;
        self.agents.insert(host.to_owned(), program);
        Ok(())
    }

    /// An agent's process.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn agent(&mut self, host: &str) -> anyhow::Result<&mut Program> {
        self.agents.get_mut(host).with_context(|| format!("there is no agent {host}"))
    }

    /// Waits until the controller shows the host as connected.
    ///
    /// # Errors
    /// When it never does.
    pub async fn wait_until_connected(&self, host: &str) -> anyhow::Result<()> {
        let shown = || async {
            let output = self.curfew(&["host", "show", host, "-o", "json"]).await?;
            let view: serde_json::Value = serde_json::from_str(&output.success()?.stdout)?;
            ensure!(view["connected"] == true, "not connected");
            Ok(())
        };
        crate::guests::until(&format!("host {host} is connected"), READY_WITHIN, shown).await
    }

    /// Waits until the inventory has this many guests.
    ///
    /// # Errors
    /// When it never does.
    pub async fn wait_for_guests(&self, count: usize) -> anyhow::Result<()> {
        let listed = || async {
            let output = self.curfew(&["guest", "list", "-o", "name"]).await?.success()?;
            let found = output.stdout.lines().count();
            ensure!(found == count, "{found} guests are listed");
            Ok(())
        };
        crate::guests::until(&format!("{count} guests are in the inventory"), READY_WITHIN, listed).await
    }

    /// Runs the command line as the operator.
    ///
    /// # Errors
    /// When it cannot be started or does not end.
    pub async fn curfew(&self, args: &[&str]) -> anyhow::Result<Output> {
        self.curfew_of("operator", args).await
    }

    /// Makes another operator of this fleet.
    ///
    /// # Errors
    /// When the controller's command fails.
    pub async fn add_operator(&self, name: &str) -> anyhow::Result<()> {
        let out = path_text(&self.path(name))?;
        self.controller_command(&["operator-cert", name, "--out", &out]).await?.success()?;
        // The same controller with another certificate: paths in a context file count from its folder.
        let context = std::fs::read_to_string(self.path("operator/config.toml"))?.replace("default/", "");
        Ok(std::fs::write(self.path(name).join("config.toml"), context)?)
    }

    /// Runs the command line as an operator that was added.
    ///
    /// # Errors
    /// When it cannot be started or does not end.
    pub async fn curfew_of(&self, operator: &str, args: &[&str]) -> anyhow::Result<Output> {
        let context = path_text(&self.path(operator).join("config.toml"))?;
        let mut command = tokio::process::Command::new(program("curfew")?);
        command.args(["--config", &context]).args(args);
        program::run(command).await
    }

    /// Runs the command line as the operator and reads its JSON.
    ///
    /// # Errors
    /// When it cannot be run or prints something else.
    pub async fn curfew_json(&self, args: &[&str]) -> anyhow::Result<serde_json::Value> {
        let output = self.curfew(args).await?;
        serde_json::from_str(&output.stdout)
            .with_context(|| format!("curfew {} printed no JSON: {output:?}", args.join(" ")))
    }

    /// The tasks of an operation, by guest name.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn tasks(&self, operation: &str) -> anyhow::Result<BTreeMap<String, serde_json::Value>> {
        let listed = self.curfew_json(&["task", "list", operation, "-o", "json"]).await?;
        let tasks = listed["tasks"].as_array().cloned().unwrap_or_default();
        let name = |task: &serde_json::Value| task["guestName"].as_str().unwrap_or_default().to_owned();
        Ok(tasks.into_iter().map(|task| (name(&task), task)).collect())
    }

    /// Runs one of the controller's commands.
    ///
    /// # Errors
    /// When it cannot be started or does not end.
    pub async fn controller_command(&self, args: &[&str]) -> anyhow::Result<Output> {
        let mut command = self.command("curfew-controller", "controller")?;
        command.args(["--config", &path_text(&self.path("controller.toml"))?]).args(args);
        program::run(command).await
    }

    /// A path in the fleet's directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The controller's port on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stops everything, and checks that nobody logged an error.
    ///
    /// # Errors
    /// When a program did not end well, or an error was logged.
    pub async fn finish(self) -> anyhow::Result<()> {
        self.finish_expecting(&[]).await
    }

    /// The same, where errors that contain one of these texts were to be expected.
    ///
    /// # Errors
    /// When a program did not end well, or another error was logged.
    pub async fn finish_expecting(mut self, expected: &[&str]) -> anyhow::Result<()> {
        for agent in std::mem::take(&mut self.agents).into_values() {
            agent.stop().await?;
        }
        if let Some(controller) = self.controller.take() {
            controller.stop().await?;
        }
        for entry in std::fs::read_dir(self.directory.path())? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "log") {
                program::assert_no_error(&path, expected)?;
            }
        }
        Ok(())
    }
}

/// A table with one provider, for [`ProcessFleet::add_agent`].
///
/// # Errors
/// When the settings are no table.
pub fn provider(name: &str, settings: &impl serde::Serialize) -> anyhow::Result<toml::Table> {
    Ok(toml::Table::from_iter([(name.to_owned(), toml::Value::try_from(settings)?)]))
}

/// A port that was free a moment ago: restarted programs need the same one again.
fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn path_text(path: &Path) -> anyhow::Result<String> {
    path.to_str().map(str::to_owned).with_context(|| format!("{} is no text", path.display()))
}
