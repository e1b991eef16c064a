//! `explain`: what a finding code or a cause means.

use crate::error::ExpectedError;
use crate::exit::Exit;
use crate::finding::{self, CATALOGUE};
use crate::probe::Cause;
use crate::render;

use super::names;
use super::output::Output;

pub(super) fn explain(code: Option<&str>, output: &mut Output<'_>) -> Result<Exit, ExpectedError> {
    let Some(name) = code else {
        let style = output.style();
        let causes = render::diagnosis::causes(style);
        return output.answer(&format!("{}\n{causes}", render::codes(style)));
    };
    // The id of a finding starts with its code.
    let code = name.split_once('-').map_or(name, |(code, _)| code);
    if let Some(cause) = Cause::named(name) {
        return output.answer(&render::diagnosis::cause(cause, output.style()));
    }
    match finding::lookup(code) {
        Some(code) => output.answer(&render::code(code, output.style())),
        None => Err(ExpectedError::UnknownCode {
            code: name.to_owned(),
            similar: names::similar(
                code,
                CATALOGUE
                    .iter()
                    .map(|known| known.id)
                    .chain(Cause::ALL.iter().map(|cause| cause.name())),
            ),
        }),
    }
}
