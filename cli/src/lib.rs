//! The `tenet` command.
//!
//! It does not depend on the engine: the binary passes the functions that run a syncer and return its rights.

mod access;
mod certs;
mod connect;
mod create;
mod delete;
mod demo;
mod doctor;
mod end;
mod host;
mod inside;
mod kubectl;
mod list;
mod logs;
mod output;
mod pause;
mod playground;
mod pod;
mod steps;
mod verdict;
mod why;
mod workloads;

use std::path::Path;
use std::{ffi::OsStr, ffi::OsString, process::ExitCode};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
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
    /// Returns the rights of a syncer.
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
    Why(why::Args),
    Doctor(doctor::Args),
    Logs(logs::Args),
    Certs(certs::Args),
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

/// Name under which kubectl finds this program, as `kubectl tenet`.
const PLUGIN: &str = "kubectl-tenet";

/// Returns the command line, under the name by which it was called.
fn command(program: Option<&OsStr>) -> clap::Command {
    let is_plugin = program.is_some_and(|program| Path::new(program).file_stem() == Some(OsStr::new(PLUGIN)));
    if is_plugin { Cli::command().bin_name("kubectl tenet") } else { Cli::command() }
}

/// Parses the command line of this process and runs it.
pub fn run(engine: Engine) -> ExitCode {
    let rights_of = engine.rights_of;
    let matches = command(std::env::args_os().next().as_deref()).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match cli.command {
        Command::Create(args) => verb(async move { create::run(&args, rights_of).await }),
        Command::Connect(args) => verb(async move { connect::run(&args).await }),
        Command::Disconnect(args) => verb(async move { connect::disconnect(&args).map(|()| ExitCode::SUCCESS) }),
        Command::List(args) => verb(async move { list::list(&args).await.map(|()| ExitCode::SUCCESS) }),
        Command::Describe(args) => verb(async move { list::describe(&args).await.map(|()| ExitCode::SUCCESS) }),
        Command::Pause(args) => verb(async move { pause::pause(&args).await.map(|()| ExitCode::SUCCESS) }),
        Command::Resume(args) => verb(async move { pause::resume(&args).await.map(|()| ExitCode::SUCCESS) }),
        Command::Delete(args) => verb(async move { delete::run(&args, rights_of).await.map(|()| ExitCode::SUCCESS) }),
        Command::Why(args) => verb(async move { why::run(&args, rights_of).await }),
        Command::Doctor(args) => verb(async move { doctor::run(&args, rights_of).await }),
        Command::Logs(args) => verb(async move { logs::run(&args).await.map(|()| ExitCode::SUCCESS) }),
        Command::Certs(args) => verb(async move { certs::run(&args).await }),
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
    fn a_plugin_of_kubectl_is_called_as_users_type_it() {
        let usage = |program: &str| {
            let error =
                command(Some(OsStr::new(program))).try_get_matches_from([program, "list", "--absent"]).unwrap_err();
            error.to_string()
        };
        assert!(usage("/usr/bin/kubectl-tenet").contains("Usage: kubectl tenet list"), "{}", usage("kubectl-tenet"));
        assert!(usage("tenet").contains("Usage: tenet list"));
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
