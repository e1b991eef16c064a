//! Anything is revocation lists, at least one, and the same ones each time; or it is refused.

use ambient_identity::{RevocationLists, Trust};

pub(crate) fn run(data: &[u8]) {
    let again = RevocationLists::read(data);
    match RevocationLists::read(data) {
        Ok(lists) => {
            assert!(!lists.is_empty());
            assert_eq!(again.map(|lists| lists.len()), Ok(lists.len()));
            assert_eq!(Trust::new([]).revoke(lists), 0);
        }
        Err(error) => {
            assert_eq!(again.unwrap_err(), error);
            assert!(!error.to_string().is_empty());
        }
    }
}
