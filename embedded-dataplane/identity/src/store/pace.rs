//! When to try again.

use std::time::Duration;

use rustls::pki_types::UnixTime;

use crate::certificate::Certificate;
use crate::provider::provider;

/// The shortest wait after a failure (ztunnel `src/identity/manager.rs`, `CERT_REFRESH_FAILURE_*`).
pub(super) const SHORTEST: Duration = Duration::from_millis(500);

/// The longest wait after failures, while nobody waits (the same).
pub(super) const LONGEST: Duration = Duration::from_secs(150);

/// The longest wait after failures, while a connection waits.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// No renewal is farther away than what a timer can be set to.
const FARTHEST: Duration = Duration::from_hours(24 * 365);

/// The wait after so many failures in a row: twice as long each time, and a fifth more or less, so
/// that identities that failed together do not come back together.
pub(super) fn backoff(failures: u32, jitter: f64) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let wait = SHORTEST * 2_u32.pow(doublings);
    let wait = wait.min(LONGEST).mul_f64(0.8 + 0.4 * jitter);
    wait.clamp(SHORTEST, LONGEST)
}

/// A random number from 0 to 1; in the middle if there is no randomness.
pub(super) fn jitter() -> f64 {
    let mut octets = [0; 4];
    match provider().secure_random.fill(&mut octets) {
        Ok(()) => f64::from(u32::from_le_bytes(octets)) / f64::from(u32::MAX),
        Err(_) => 0.5,
    }
}

/// In how long to renew a certificate: at half of its lifetime. Of one that is older than that
/// already (a file that nobody renewed) at half of what is left, but not within a second.
pub(super) fn renewal(certificate: &Certificate, today: UnixTime) -> Duration {
    let today = seconds(today);
    let (from, until) = (certificate.not_before, certificate.not_after);
    let half = from.saturating_add(until.saturating_sub(from) / 2);
    let wait = match half.saturating_sub(today) {
        wait @ 1.. => wait,
        _ => until.saturating_sub(today) / 2,
    };
    let wait = Duration::from_secs(u64::try_from(wait).unwrap_or_default());
    wait.clamp(Duration::from_secs(1), FARTHEST)
}

/// How long a certificate is still good; `None` when it is not.
pub(super) fn left(certificate: &Certificate, today: UnixTime) -> Option<Duration> {
    let left = certificate.not_after.checked_sub(seconds(today))?;
    u64::try_from(left)
        .ok()
        .filter(|&left| left > 0)
        .map(Duration::from_secs)
}

/// In how long a certificate that is good will not be so any more.
pub(super) fn expiry(certificate: &Certificate, today: UnixTime) -> Duration {
    // It is good until the end of that second.
    let left = certificate.not_after.saturating_sub(seconds(today));
    let left = Duration::from_secs(u64::try_from(left).unwrap_or_default());
    left.min(FARTHEST) + Duration::from_secs(1)
}

/// Whether a certificate has not expired. One that is not valid yet counts: whose clock is right is
/// for its peers to judge.
pub(super) fn is_good(certificate: &Certificate, today: UnixTime) -> bool {
    seconds(today) <= certificate.not_after
}

fn seconds(time: UnixTime) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(not_before: i64, not_after: i64) -> Certificate {
        Certificate {
            subject: String::new(),
            issuer: String::new(),
            not_before,
            not_after,
            uris: Vec::new(),
        }
    }

    #[test]
    fn waits_double_from_half_a_second_to_two_and_a_half_minutes() {
        let middle: Vec<_> = (1..=11).map(|n| backoff(n, 0.5).as_millis()).collect();
        let expected = [
            500, 1000, 2000, 4000, 8000, 16_000, 32_000, 64_000, 128_000, 150_000, 150_000,
        ];
        assert_eq!(middle, expected);
        assert_eq!(backoff(1, 0.0), SHORTEST);
        assert_eq!(backoff(3, 0.0), Duration::from_millis(1600));
        assert_eq!(backoff(3, 1.0), Duration::from_millis(2400));
        assert_eq!(backoff(u32::MAX, 1.0), LONGEST);
    }

    #[test]
    fn a_certificate_is_renewed_at_half_of_its_life() {
        let wait = |certificate, today| {
            let today = UnixTime::since_unix_epoch(Duration::from_secs(today));
            renewal(&certificate, today).as_secs()
        };
        assert_eq!(wait(certificate(1000, 2000), 1000), 500);
        assert_eq!(wait(certificate(1000, 2000), 1400), 100);
        assert_eq!(wait(certificate(1000, 2000), 1500), 250);
        assert_eq!(wait(certificate(1000, 2000), 1999), 1);
        assert_eq!(wait(certificate(0, i64::MAX), 1999), 365 * 86_400);
        assert_eq!(wait(certificate(2000, 1000), 1999), 1);
    }

    #[test]
    fn a_certificate_has_expired_when_the_second_is_over_until_which_it_is_valid() {
        let today = UnixTime::since_unix_epoch(Duration::from_secs(1000));
        let in_seconds = |until| expiry(&certificate(0, until), today).as_secs();
        assert_eq!(in_seconds(1010), 11);
        assert_eq!(in_seconds(1000), 1);
        assert_eq!(in_seconds(i64::MAX), 365 * 86_400 + 1);
    }

    #[test]
    fn randomness_is_between_its_ends_and_differs() {
        let some: Vec<_> = (0..64).map(|_| jitter()).collect();
        assert!(some.iter().all(|j| (0.0..=1.0).contains(j)));
        assert!(some.iter().any(|j| j.to_bits() != some[0].to_bits()));
    }
}
