//! The `tenet` command.
//!
//! It does not depend on the engine: the binary passes the function that runs a syncer.

mod demo;
mod end;
mod kubectl;
mod playground;

use std::{ffi::OsString, process::ExitCode};

use clap::{Parser, Subcommand};

/// Function that runs a syncer with these arguments, the first of which is the name of the command.
pub type RunSyncer = fn(Vec<OsString>) -> ExitCode;

/// Virtual Kubernetes clusters whose pods run on a host cluster.
#[derive(Debug, Parser)]
#[command(name = "tenet", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Playground(playground::Args),
    /// Run a syncer in this process. `tenet syncer --help` shows its own flags.
    #[command(disable_help_flag = true)]
    Syncer {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
}

/// Parses the command line of this process and runs it.
pub fn run(run_syncer: RunSyncer) -> ExitCode {
    match Cli::parse().command {
        Command::Playground(args) => playground::main(&args),
        Command::Syncer { args } => run_syncer(std::iter::once("tenet syncer".into()).chain(args).collect()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

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
