//! Words of commands that people are told to type.

/// A word as a POSIX shell takes it.
pub fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:@,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_with_a_meaning_for_the_shell_are_quoted() {
        let words = ["k8s/a.yaml", "it's here", "a&b", ""].map(shell_word);
        assert_eq!(words.join(" "), r"k8s/a.yaml 'it'\''s here' 'a&b' ''");
    }
}
