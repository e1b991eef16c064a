//! Any text leads to a target, or says why not; a target is written as it would be read.

use ambient_hbone::authority::Target;

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(target) = text.parse::<Target>() else {
        return;
    };
    assert_ne!(target.port(), 0);
    let written = target.to_string();
    assert_eq!(written.parse::<Target>(), Ok(target), "{written}");
}
