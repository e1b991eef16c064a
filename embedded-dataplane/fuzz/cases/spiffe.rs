//! A text is an identity, and then it is written as it was read and fits into a line; or it is none.

use ambient_identity::SpiffeId;

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match text.parse::<SpiffeId>() {
        Ok(identity) => {
            assert_eq!(identity.to_string(), text);
            assert!(text.chars().all(|c| !c.is_whitespace() && !c.is_control()));
            let parts = [
                identity.trust_domain(),
                identity.namespace(),
                identity.service_account(),
            ];
            assert!(parts.iter().all(|p| !p.is_empty() && !p.contains('/')));
        }
        Err(error) => assert!(error.to_string().contains(text)),
    }
}
