//! The environment variables that are read, all of them.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::cli::ColorChoice;

/// What the environment says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// `NO_COLOR` is set, to whatever value (as kubectl reads it).
    pub no_color: bool,
    /// `CLICOLOR_FORCE` is set to something else than `0`.
    pub force_color: bool,
    /// `TERM` is `dumb`.
    pub dumb_terminal: bool,
    /// `GITHUB_STEP_SUMMARY`: the file that GitHub Actions shows as the summary of a step.
    pub step_summary: Option<PathBuf>,
    /// `KUBECTL_PATH`: the kubectl that runs this program as its plugin.
    pub kubectl: Option<PathBuf>,
    /// The folder that the user is in.
    pub folder: Option<PathBuf>,
}

impl Environment {
    /// The environment of this process.
    pub fn of_process() -> Self {
        Self {
            folder: std::env::current_dir().ok(),
            ..Self::read(|name| std::env::var_os(name))
        }
    }

    /// The command line of this process, the program's name first.
    pub fn arguments() -> Vec<OsString> {
        std::env::args_os().collect()
    }

    /// The environment that a function knows. An empty variable counts as absent, but for
    /// `NO_COLOR`.
    pub fn read(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        Self {
            no_color: variable("NO_COLOR").is_some(),
            force_color: set("CLICOLOR_FORCE").is_some_and(|value| value != "0"),
            dumb_terminal: set("TERM").is_some_and(|value| value == "dumb"),
            step_summary: set("GITHUB_STEP_SUMMARY").map(PathBuf::from),
            kubectl: set("KUBECTL_PATH").map(PathBuf::from),
            folder: None,
        }
    }

    /// Whether text to a terminal, or to something else, is coloured. The flag wins over the
    /// environment, and what forbids colour over what forces it.
    pub fn color(&self, choice: ColorChoice, terminal: bool) -> bool {
        match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto if self.no_color => false,
            ColorChoice::Auto => self.force_color || (terminal && !self.dumb_terminal),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn colors(variables: &[(&str, &str)]) -> [bool; 4] {
        let environment = Environment::read(|name| {
            let found = variables.iter().find(|(n, _)| *n == name);
            found.map(|(_, value)| OsString::from(value))
        });
        [
            environment.color(ColorChoice::Auto, true),
            environment.color(ColorChoice::Auto, false),
            environment.color(ColorChoice::Always, false),
            environment.color(ColorChoice::Never, true),
        ]
    }

    #[test]
    fn colour_follows_the_flag_then_the_environment_then_the_terminal() {
        assert_eq!(colors(&[]), [true, false, true, false]);
        assert_eq!(colors(&[("NO_COLOR", "")]), [false, false, true, false]);
        assert_eq!(colors(&[("TERM", "dumb")]), [false, false, true, false]);
        assert_eq!(colors(&[("TERM", "xterm")]), [true, false, true, false]);
        let force = ("CLICOLOR_FORCE", "1");
        assert_eq!(colors(&[force]), [true, true, true, false]);
        assert_eq!(
            colors(&[force, ("NO_COLOR", "1")]),
            [false, false, true, false]
        );
        assert_eq!(
            colors(&[("CLICOLOR_FORCE", "0")]),
            [true, false, true, false]
        );
    }
}
