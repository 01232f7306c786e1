//! The `tenet` command.
//!
//! It does not depend on the engine: the binary passes the functions that run a syncer and tell its rights.

mod connect;
mod create;
mod delete;
mod demo;
mod end;
mod host;
mod kubectl;
mod list;
mod pause;
mod playground;
mod steps;

use std::{ffi::OsString, process::ExitCode};

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

/// Function that runs a syncer with these arguments, the first of which is the name of the command.
pub type RunSyncer = fn(Vec<OsString>) -> ExitCode;

/// Function that returns the rights of a syncer with this configuration, as `tenet-syncer --print-role
/// --print-cluster-role` prints them.
pub type RightsOf = fn(&str) -> anyhow::Result<String>;

/// Functions of the engine.
#[derive(Clone, Copy, Debug)]
pub struct Engine {
    /// Runs a syncer.
    pub run_syncer: RunSyncer,
    /// Tells its rights.
    pub rights_of: RightsOf,
}

/// Virtual Kubernetes clusters whose pods run on a host cluster.
#[derive(Debug, Parser)]
#[command(name = "tenet", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(Box<create::Args>),
    Connect(connect::Args),
    Disconnect(connect::DisconnectArgs),
    List(list::ListArgs),
    Describe(list::DescribeArgs),
    Pause(pause::PauseArgs),
    Resume(pause::ResumeArgs),
    Delete(delete::Args),
    /// Print the completion script of a shell.
    Completion {
        /// Shell.
        shell: Shell,
    },
    Playground(playground::Args),
    /// Run a syncer in this process. `tenet syncer --help` shows its own flags.
    #[command(disable_help_flag = true)]
    Syncer {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
}

/// Parses the command line of this process and runs it.
pub fn run(engine: Engine) -> ExitCode {
    let rights_of = engine.rights_of;
    match Cli::parse().command {
        Command::Create(args) => verb(async move { create::run(&args, rights_of).await.map(|()| ExitCode::SUCCESS) }),
        Command::Connect(args) => verb(async move { connect::run(&args).await }),
        Command::Disconnect(args) => verb(async move { connect::disconnect(&args).map(|()| ExitCode::SUCCESS) }),
        Command::List(args) => verb(async move { list::list(&args).await.map(|()| ExitCode::SUCCESS) }),
        Command::Describe(args) => verb(async move { list::describe(&args).await.map(|()| ExitCode::SUCCESS) }),
        Command::Pause(args) => verb(async move { pause::pause(&args).await.map(|()| ExitCode::SUCCESS) }),
        Command::Resume(args) => verb(async move { pause::resume(&args).await.map(|()| ExitCode::SUCCESS) }),
        Command::Delete(args) => verb(async move { delete::run(&args, rights_of).await.map(|()| ExitCode::SUCCESS) }),
        Command::Completion { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "tenet", &mut std::io::stdout());
            ExitCode::SUCCESS
        }
        Command::Playground(args) => verb(async move { playground::run(&args).await }),
        Command::Syncer { args } => (engine.run_syncer)(std::iter::once("tenet syncer".into()).chain(args).collect()),
    }
}

/// Runs a verb on a runtime of its own, and prints its error.
fn verb(verb: impl Future<Output = anyhow::Result<ExitCode>>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let ended = runtime.map_err(anyhow::Error::new).and_then(|runtime| runtime.block_on(verb));
    ended.unwrap_or_else(|error| {
        eprintln!("tenet: {error:#}");
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_after_syncer_are_its_own() {
        let cli = Cli::parse_from(["tenet", "syncer", "--config", "a.yaml", "--help"]);
        let Command::Syncer { args } = cli.command else { panic!("not a syncer") };
        assert_eq!(args, ["--config", "a.yaml", "--help"]);
    }

    #[test]
    fn a_demo_needs_a_syncer() {
        assert!(Cli::try_parse_from(["tenet", "playground", "--demo", "--no-syncer"]).is_err());
    }
}
