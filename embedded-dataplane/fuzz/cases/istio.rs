//! Anything is an answer of Istio's authority, and holds what is read out of it, in that order; or it
//! is refused. What it says about an error fits into one line of a log.

use ambient_identity::fuzzing::{answer, words};

pub(crate) fn run(data: &[u8]) {
    check(data);
    // Few inputs have the length of what they frame.
    let length = u32::try_from(data.len()).expect("inputs are short");
    let mut framed = vec![0];
    framed.extend(length.to_be_bytes());
    framed.extend(data);
    check(&framed);

    let words = words(data);
    assert!(words.chars().count() <= 300);
    assert!(!words.contains(char::is_control), "{words:?}");
}

fn check(octets: &[u8]) {
    let Some(texts) = answer(octets) else {
        return;
    };
    let mut rest = octets;
    for text in texts {
        // Its field and its length stand before it.
        let mut after =
            (2..=rest.len()).filter_map(|place| rest.get(place..)?.strip_prefix(&*text));
        rest = after.next().expect("a text that was in the answer");
    }
}
