//! What can come next on a command line, in the words of kubectl's plugin completion.
//!
//! kubectl runs `kubectl_complete-ambient` with the words typed so far, the last one being
//! completed and maybe empty. It expects a candidate a line, with an optional tab and description,
//! and at the end `:` with a number (kubectl `pkg/cmd/plugin/plugin_completion.go`, cobra
//! `ShellCompDirective`).

use std::fmt::Write as _;

use clap::{Arg, Command, ValueHint};

use crate::finding::CATALOGUE;
use crate::probe::Cause;

/// cobra's directives: what the shell does besides offering the candidates.
mod directive {
    /// Complete file names.
    pub(super) const FILES: u8 = 0;
    /// Offer nothing else.
    pub(super) const NO_FILES: u8 = 4;
    /// Complete names of folders.
    pub(super) const FOLDERS: u8 = 16;
}

/// The candidates for the last of the words, as kubectl reads them. The words start after
/// `kubectl ambient`.
pub fn candidates(words: &[String]) -> String {
    let mut root = super::command();
    root.build();
    let (last, before) = match words.split_last() {
        Some((last, before)) => (last.as_str(), before),
        None => ("", [].as_slice()),
    };
    let mut position = Position::start(&root);
    for word in before {
        position.step(word);
    }
    let Completion { values, directive } = position.complete(last);
    let mut text = String::new();
    for (value, description) in values {
        _ = match description {
            Some(description) => writeln!(text, "{value}\t{description}"),
            None => writeln!(text, "{value}"),
        };
    }
    _ = writeln!(text, ":{directive}");
    text
}

type Candidate = (String, Option<String>);

struct Completion {
    values: Vec<Candidate>,
    directive: u8,
}

/// Where on the command line the next word stands.
struct Position<'c> {
    command: &'c Command,
    /// The flag whose value the next word is.
    flag: Option<&'c Arg>,
    /// Operands seen so far.
    operands: usize,
    /// Whether `--` was seen, after which every word is an operand.
    escaped: bool,
}

impl<'c> Position<'c> {
    fn start(command: &'c Command) -> Self {
        Self {
            command,
            flag: None,
            operands: 0,
            escaped: false,
        }
    }

    fn step(&mut self, word: &str) {
        if self.flag.take().is_some() {
            return;
        }
        if self.escaped {
            self.operands += 1;
        } else if word == "--" {
            self.escaped = true;
        } else if let Some(name) = word.strip_prefix("--") {
            if !name.contains('=') {
                self.flag = self.long(name).filter(|a| takes_value(a));
            }
        } else if let Some(letters) = word.strip_prefix('-').filter(|l| !l.is_empty()) {
            self.flag = self.open_short(letters);
        } else if let Some(command) = self.command.find_subcommand(word) {
            *self = Self::start(command);
        } else {
            self.operands += 1;
        }
    }

    /// The flag of a group such as `-Rf` whose value is the next word.
    fn open_short(&self, letters: &str) -> Option<&'c Arg> {
        let mut letters = letters.chars();
        while let Some(letter) = letters.next() {
            let flag = self
                .command
                .get_arguments()
                .find(|a| a.get_short() == Some(letter))?;
            if takes_value(flag) {
                return letters.as_str().is_empty().then_some(flag);
            }
        }
        None
    }

    fn long(&self, name: &str) -> Option<&'c Arg> {
        self.command
            .get_arguments()
            .find(|a| a.get_long() == Some(name))
    }

    fn complete(&self, word: &str) -> Completion {
        if let Some(flag) = self.flag {
            return values(flag, "", word);
        }
        if self.escaped {
            return self.operand(word);
        }
        if let Some((name, value)) = word.strip_prefix("--").and_then(|w| w.split_once('=')) {
            return match self.long(name) {
                Some(flag) => values(flag, &format!("--{name}="), value),
                None => Completion::nothing(),
            };
        }
        if word.starts_with('-') {
            return self.flags(word);
        }
        let commands: Vec<Candidate> = self
            .command
            .get_subcommands()
            .filter(|c| !c.is_hide_set() && c.get_name().starts_with(word))
            .map(|c| (c.get_name().to_owned(), description(c.get_about())))
            .collect();
        if commands.is_empty() {
            self.operand(word)
        } else {
            Completion {
                values: commands,
                directive: directive::NO_FILES,
            }
        }
    }

    fn operand(&self, word: &str) -> Completion {
        match self.command.get_positionals().nth(self.operands) {
            Some(operand) => values(operand, "", word),
            None => Completion::nothing(),
        }
    }

    fn flags(&self, word: &str) -> Completion {
        let mut values: Vec<Candidate> = self
            .command
            .get_arguments()
            .filter(|a| !a.is_hide_set())
            .filter_map(|a| Some((format!("--{}", a.get_long()?), description(a.get_help()))))
            .filter(|(name, _)| name.starts_with(word))
            .collect();
        values.sort();
        Completion {
            values,
            directive: directive::NO_FILES,
        }
    }
}

impl Completion {
    fn nothing() -> Self {
        Self {
            values: Vec::new(),
            directive: directive::NO_FILES,
        }
    }
}

/// The values of a flag or operand that start with a word, each after a prefix.
fn values(argument: &Arg, prefix: &str, word: &str) -> Completion {
    let directive = match argument.get_value_hint() {
        ValueHint::AnyPath | ValueHint::FilePath => directive::FILES,
        ValueHint::DirPath => directive::FOLDERS,
        _ => directive::NO_FILES,
    };
    let mut values: Vec<Candidate> = argument
        .get_possible_values()
        .into_iter()
        .map(|v| (v.get_name().to_owned(), description(v.get_help())))
        .collect();
    if matches!(argument.get_id().as_str(), "code" | "accept") {
        let codes = CATALOGUE.iter();
        values.extend(codes.map(|c| (c.id.to_owned(), Some(c.title.to_owned()))));
    }
    if argument.get_id() == "code" {
        let causes = Cause::ALL.iter();
        values.extend(causes.map(|c| (c.name().to_owned(), Some(c.title().to_owned()))));
    }
    if argument.get_id() == "command" {
        let root = super::command();
        let commands = root.get_subcommands();
        values.extend(commands.map(|c| (c.get_name().to_owned(), description(c.get_about()))));
    }
    values.retain(|(value, _)| value.starts_with(word));
    for (value, _) in &mut values {
        value.insert_str(0, prefix);
    }
    Completion { values, directive }
}

fn takes_value(argument: &Arg) -> bool {
    argument.get_action().takes_values()
}

fn description(help: Option<&clap::builder::StyledStr>) -> Option<String> {
    help.map(|h| h.to_string().lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(line: &str) -> String {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        format!("[{line}]\n{}", candidates(&words))
    }

    #[test]
    fn commands_flags_and_values_are_offered() {
        let lines = [
            "",
            "m",
            "migrate ",
            "migrate d",
            "policy list --m",
            "completion ",
            "nothing ",
        ];
        insta::assert_snapshot!(lines.map(complete).join("\n"), @"
        []
        migrate	Plan the move of workloads to ambient mesh, and prove that no connection changes
        policy	Show who may connect to whom under the network policies
        diagnose	Probe tunnels from outside, and name what is the matter with them
        demo	Watch a tunnel between two relays on this machine, without a cluster
        explain	Explain a finding code, or a cause that `diagnose` names
        completion	Print a completion script for a shell
        version	Print the version
        options	List the flags that every command takes
        help	Print the help of a command
        :4

        [m]
        migrate	Plan the move of workloads to ambient mesh, and prove that no connection changes
        :4

        [migrate ]
        plan	Show what has to change, what to know first, and the proof (the default)
        diff	Print the changes as a unified diff
        :4

        [migrate d]
        diff	Print the changes as a unified diff
        :4

        [policy list --m]
        --mode	Which connections
        :4

        [completion ]
        bash	Bash
        zsh	Zsh
        fish	fish
        powershell	PowerShell
        :4

        [nothing ]
        migrate	Plan the move of workloads to ambient mesh, and prove that no connection changes
        policy	Show who may connect to whom under the network policies
        diagnose	Probe tunnels from outside, and name what is the matter with them
        demo	Watch a tunnel between two relays on this machine, without a cluster
        explain	Explain a finding code, or a cause that `diagnose` names
        completion	Print a completion script for a shell
        version	Print the version
        options	List the flags that every command takes
        help	Print the help of a command
        :4
        ");
    }

    #[test]
    fn a_flag_with_a_value_takes_the_next_word() {
        let lines = [
            "migrate --authz ",
            "migrate --authz=d",
            "migrate -f ",
            "migrate -Rf ",
            "migrate -f plan d",
            "migrate --output-dir ",
            "migrate -o s",
            "migrate --accept AMB011",
            "explain AMB011",
            "explain -- AMB011",
            "help m",
            "policy explain -f x a ",
        ];
        insta::assert_snapshot!(lines.map(complete).join("\n"), @"
        [migrate --authz ]
        deny	Refuse the other ports
        allow	Allow the ports that are allowed today, and nothing else
        none	Not at all: the limits are reported as gained connections
        :4

        [migrate --authz=d]
        --authz=deny	Refuse the other ports
        :4

        [migrate -f ]
        :0

        [migrate -Rf ]
        :0

        [migrate -f plan d]
        diff	Print the changes as a unified diff
        :4

        [migrate --output-dir ]
        :16

        [migrate -o s]
        sarif	SARIF 2.1.0 for code scanning
        :4

        [migrate --accept AMB011]
        AMB0110	connections gained through the tunnel
        AMB0111	tunnel port open to every peer
        AMB0112	one service account, different port limits
        AMB0113	pods that an AuthorizationPolicy cannot select
        AMB0114	port range too long for an AuthorizationPolicy
        AMB0115	egress port limit that the mesh does not keep
        AMB0116	port limits not restored
        AMB0117	connections gained outside the tunnel
        AMB0118	pods that come later are not limited
        AMB0119	clients that come later are told by their account
        :4

        [explain AMB011]
        AMB0110	connections gained through the tunnel
        AMB0111	tunnel port open to every peer
        AMB0112	one service account, different port limits
        AMB0113	pods that an AuthorizationPolicy cannot select
        AMB0114	port range too long for an AuthorizationPolicy
        AMB0115	egress port limit that the mesh does not keep
        AMB0116	port limits not restored
        AMB0117	connections gained outside the tunnel
        AMB0118	pods that come later are not limited
        AMB0119	clients that come later are told by their account
        :4

        [explain -- AMB011]
        AMB0110	connections gained through the tunnel
        AMB0111	tunnel port open to every peer
        AMB0112	one service account, different port limits
        AMB0113	pods that an AuthorizationPolicy cannot select
        AMB0114	port range too long for an AuthorizationPolicy
        AMB0115	egress port limit that the mesh does not keep
        AMB0116	port limits not restored
        AMB0117	connections gained outside the tunnel
        AMB0118	pods that come later are not limited
        AMB0119	clients that come later are told by their account
        :4

        [help m]
        migrate	Plan the move of workloads to ambient mesh, and prove that no connection changes
        :4

        [policy explain -f x a ]
        :4
        ");
    }
}
