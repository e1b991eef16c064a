//! The command line as clap sees it: flags, help and value parsers.
//!
//! Types of this module carry no logic; [`crate::settings`] turns them into what commands take.

mod candidates;
mod diagnose;
mod migrate;
mod policy;
mod values;

use std::ffi::OsString;

use clap::{Args, CommandFactory as _, Parser, Subcommand};

pub use candidates::candidates;
pub use diagnose::DiagnoseArguments;
pub use migrate::{
    DiffArguments, InputArguments, JudgementArguments, MigrateAction, MigrateArguments,
    PlanArguments, PlanningArguments,
};
pub use policy::{
    PolicyAction, PolicyArguments, PolicyDiff, PolicyExplain, PolicyList, ViewArguments,
};
pub use values::{
    Authorization, ColorChoice, DryRun, FailOn, Mode, Party, PlainFormat, PlanFormat, PolicyFormat,
    Shell, Strategy, VersionFormat, Waypoint,
};

/// The namespace of objects that name none, unless `-n` names another.
pub const DEFAULT_NAMESPACE: &str = "default";

/// How keys and certificates begin in PEM (RFC 7468, section 2).
const PEM_BEGINS: &str = "-----BEGIN ";

/// The exit codes, for the end of every help text.
macro_rules! after_help {
    (codes: $codes:literal, $($example:literal),+ $(,)?) => {
        concat!(
            "Exit codes:\n",
            $codes,
            "  70   a bug in this program\n",
            "  130  interrupted\n",
            "\n",
            "Examples:",
            $("\n  ", $example),+
        )
    };
    ($($example:literal),+ $(,)?) => {
        after_help!(
            codes: "  0    done\n  \
                1    findings at or above --fail-on that were not accepted, or differences\n  \
                2    wrong usage, or input that cannot be used; the rest is still analysed\n",
            $($example),+
        )
    };
}
use after_help;

/// Move Kubernetes clusters to ambient mesh, and prove what changes before it does
#[derive(Debug, Parser)]
#[command(
    name = "kubectl-ambient",
    bin_name = "kubectl ambient",
    version,
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = after_help!(
        "kubectl ambient migrate -f k8s/          # what has to change, and the proof",
        "kubectl ambient migrate diff -f k8s/     # the same as a diff",
        "kubectl ambient migrate -f k8s/ --write  # change the files",
        "kubectl ambient diagnose --address POD   # what is the matter with a tunnel",
    )
)]
pub struct Arguments {
    /// Flags that every command takes.
    #[command(flatten)]
    pub global: GlobalArguments,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags that every command takes.
#[derive(Debug, Args)]
pub struct GlobalArguments {
    /// When to use colour
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = ColorChoice::Auto)]
    pub color: ColorChoice,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Plan the move of workloads to ambient mesh, and prove that no connection changes
    Migrate(MigrateArguments),
    /// Show who may connect to whom under the network policies
    Policy(PolicyArguments),
    /// Probe tunnels from outside, and name what is the matter with them
    Diagnose(Box<DiagnoseArguments>),
    /// Watch a tunnel between two relays on this machine, without a cluster
    #[command(after_help = after_help!(
        codes: "  0    everything was as it should be\n  \
            1    something was not\n  \
            2    it cannot be set up here\n",
        "kubectl ambient demo",
        "kubectl ambient demo --once",
    ))]
    Demo {
        /// End after the checks, instead of with Ctrl-C
        #[arg(long)]
        once: bool,
    },
    /// Explain a finding code, or a cause that `diagnose` names
    #[command(after_help = after_help!(
        "kubectl ambient explain AMB0110",
        "kubectl ambient explain connect-timeout",
    ))]
    Explain {
        /// The code, the id of a finding, or a cause; all are listed without one
        code: Option<String>,
    },
    /// Print a completion script for a shell
    #[command(after_help = after_help!(
        "source <(kubectl-ambient completion bash)",
        "kubectl-ambient completion fish > ~/.config/fish/completions/kubectl-ambient.fish",
    ))]
    Completion {
        /// The shell
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Print the version
    #[command(after_help = after_help!("kubectl ambient version -o json"))]
    Version {
        /// Output format
        #[arg(short, long, value_enum, default_value_t = VersionFormat::Text)]
        output: VersionFormat,
    },
    /// List the flags that every command takes
    #[command(after_help = after_help!("kubectl ambient options"))]
    Options,
    /// Print the help of a command
    #[command(after_help = after_help!("kubectl ambient help migrate diff"))]
    Help {
        /// The command, with its verb if it has one
        command: Vec<String>,
    },
}

/// Reads the command line, program name first.
///
/// # Errors
///
/// When it is wrong, and when it asks for help or the version.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Arguments, Stop> {
    Arguments::try_parse_from(arguments).map_err(|error| {
        let mut text = error.render().to_string();
        if text.contains(PEM_BEGINS) {
            // What is wrong would be shown, and could be a private key.
            text.clear();
            text.push_str(
                "error: a flag or operand is the text of a key or certificate, where the path of a \
                 file belongs\n",
            );
        }
        Stop {
            text,
            is_answer: !error.use_stderr(),
        }
    })
}

/// A command line that names no command to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// What to show.
    pub text: String,
    /// Whether the text was asked for: help or the version, not an error.
    pub is_answer: bool,
}

/// The command line as a value, for completion.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// The help text of a command, by the words that lead to it.
///
/// # Errors
///
/// When there is no such command: the word that is wrong, and the commands that there are.
pub fn help(words: &[String]) -> Result<String, (String, Vec<String>)> {
    let mut root = command();
    root.build();
    let mut found = &mut root;
    for word in words {
        let known = found.get_subcommands().map(|c| c.get_name().to_owned());
        let known = known.collect();
        found = found
            .find_subcommand_mut(word)
            .ok_or_else(|| (word.clone(), known))?;
    }
    Ok(found.render_long_help().to_string())
}

/// The completion script of a shell, for the binary's own name.
pub fn completion_script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    let shell = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
        Shell::Powershell => clap_complete::Shell::PowerShell,
    };
    clap_complete::generate(shell, &mut command(), "kubectl-ambient", &mut script);
    script
}

/// The flags that every command takes, as help text.
pub fn options() -> String {
    let options = GlobalArguments::augment_args(clap::Command::new("options"))
        .disable_help_flag(true)
        .help_template("These flags can be passed to any command:\n\n{options}\n");
    options.clone().render_help().to_string()
}

#[cfg(test)]
mod tests;
