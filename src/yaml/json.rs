//! Cutting JSON text into its values.

use serde::de::IgnoredAny;

use super::compose::SyntaxError;
use super::split::Chunk;

/// Cuts text into the JSON values that it holds one after the other, each without the white space
/// around it, and checks their syntax strictly. What stands before an error is returned with it.
///
/// A byte order mark is skipped.
pub fn split_json(stream: &str) -> (Vec<Chunk<'_>>, Option<SyntaxError>) {
    let text = stream.strip_prefix('\u{feff}').unwrap_or(stream);
    let base = stream.len() - text.len();
    let mut chunks = Vec::new();
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    let (mut end, mut line) = (0, 1u32);
    while let Some(value) = values.next() {
        if let Err(error) = value {
            return (chunks, Some(syntax_error(&error)));
        }
        let Some(between) = text.get(end..values.byte_offset()) else {
            break;
        };
        let value = between.trim_start();
        let start = values.byte_offset() - value.len();
        line = line.saturating_add(lines(&between[..between.len() - value.len()]));
        chunks.push(Chunk {
            text: value,
            offset: base + start,
            line,
        });
        line = line.saturating_add(lines(value));
        end = values.byte_offset();
    }
    (chunks, None)
}

fn lines(text: &str) -> u32 {
    u32::try_from(text.bytes().filter(|&b| b == b'\n').count()).unwrap_or(u32::MAX)
}

fn syntax_error(error: &serde_json::Error) -> SyntaxError {
    let text = error.to_string();
    let message = text.rsplit_once(" at line ").map_or(&*text, |(m, _)| m);
    SyntaxError {
        message: message.to_owned(),
        line: u32::try_from(error.line()).unwrap_or(u32::MAX),
        column: u32::try_from(error.column()).unwrap_or(u32::MAX).max(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_cut_with_their_places() {
        let (chunks, error) = split_json("\u{feff}\n{\"a\":\n1}{}\n [2]\n");
        let found: Vec<_> = chunks.iter().map(|c| (c.text, c.offset, c.line)).collect();
        assert_eq!(
            found,
            [("{\"a\":\n1}", 4, 2), ("{}", 12, 3), ("[2]", 16, 4)]
        );
        assert_eq!(error, None);
    }

    #[test]
    fn what_stands_before_an_error_is_kept() {
        let (chunks, error) = split_json("{}\n{\"a\": 1,\n \"b\" 2}\n");
        let error = error.unwrap();
        assert_eq!(chunks.len(), 1);
        assert_eq!(
            (error.to_string().as_str(), error.line, error.column),
            ("expected `:`", 3, 6)
        );
    }
}
