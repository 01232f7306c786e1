use crate::digest;

const DAY: i64 = 24 * 60 * 60;
/// Seconds over which a kubelet spreads the refreshes of its pods.
const JITTER: u64 = 10;

/// Returns the instant in unix seconds at which a token should be renewed: at 80 % of its lifetime, but no later than
/// 24 hours after it was issued, and up to ten seconds earlier, which spreads the load. A kubelet
/// draws those seconds at random; here they derive from the UID of the pod, so that the instant is the same
/// after a restart.
pub fn refresh_at(issued: i64, expires: i64, pod_uid: &str) -> i64 {
    let lifetime = expires.saturating_sub(issued).max(0);
    let at = expires.saturating_sub(lifetime / 5).min(issued.saturating_add(DAY));
    at.saturating_sub(jitter(pod_uid)).max(issued)
}

fn jitter(pod_uid: &str) -> i64 {
    let digest = digest::of_parts("tenet.sh/refresh", &[pod_uid]);
    let sum: u64 = digest.bytes().fold(0, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    i64::try_from(sum % JITTER).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_token_is_refreshed_at_80_percent_or_after_a_day() {
        let issued = 1_700_000_000;
        for (lifetime, after) in
            [(600, 480), (3600, 2880), (3607, 3607 - 721), (DAY, DAY * 4 / 5), (30 * DAY, DAY), (1 << 32, DAY)]
        {
            let at = refresh_at(issued, issued + lifetime, "uid");
            assert_eq!(at, issued + after - jitter("uid"), "{lifetime}");
        }
    }

    #[test]
    fn an_expired_or_nonsensical_token_is_refreshed_at_once() {
        for (issued, expires) in [(100, 100), (100, 50), (i64::MAX, i64::MIN)] {
            assert!(refresh_at(issued, expires, "uid") <= issued);
        }
    }

    proptest! {
        #[test]
        fn the_instant_lies_within_the_lifetime(
            issued in any::<i64>(), expires in any::<i64>(), uid in any::<String>()
        ) {
            let at = refresh_at(issued, expires, &uid);
            prop_assert!(at >= issued);
            prop_assert!(at <= expires.max(issued));
            prop_assert_eq!(at, refresh_at(issued, expires, &uid));
        }

        #[test]
        fn refreshes_are_spread(uid in "[0-9a-f-]{36}") {
            prop_assert!((0..10).contains(&jitter(&uid)));
        }
    }

    #[test]
    fn every_second_of_the_spread_is_used() {
        let seconds: std::collections::BTreeSet<_> = (0..500).map(|n| jitter(&n.to_string())).collect();
        assert_eq!(seconds.len(), 10);
    }
}
