//! Slows down guessing and floods: waits after failures, and a rate of requests.

use super::limits::{ADDRESSES, REQUESTS_A_SECOND, REQUESTS_AT_ONCE};
use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The number of failures that cost no time.
const FREE: u32 = 5;
/// The longest wait, in seconds. Nobody is locked out for good.
const LONGEST_S: u64 = 60;
/// The time after which failures are forgotten.
const FORGOTTEN: Duration = Duration::from_secs(3600);

/// Counts failed logins of accounts or addresses.
#[derive(Debug)]
pub struct Failures<K>(Mutex<HashMap<K, (u32, Instant)>>);

impl<K> Default for Failures<K> {
    fn default() -> Self {
        Failures(Mutex::default())
    }
}

impl<K: Hash + Eq + Clone> Failures<K> {
    /// Returns how long somebody has to wait before the next try.
    pub fn wait(&self, who: &K, now: Instant) -> Duration {
        let failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((count, at)) = failures.get(who) else { return Duration::ZERO };
        let Some(beyond) = count.checked_sub(FREE) else { return Duration::ZERO };
        let seconds = 1_u64.checked_shl(beyond).unwrap_or(LONGEST_S).min(LONGEST_S);
        (*at + Duration::from_secs(seconds)).saturating_duration_since(now)
    }

    /// Notes a try.
    pub fn note(&self, who: &K, is_right: bool, now: Instant) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failures.retain(|_, (_, at)| now.saturating_duration_since(*at) < FORGOTTEN);
        if is_right {
            failures.remove(who);
        } else if failures.len() < ADDRESSES || failures.contains_key(who) {
            let (count, at) = failures.entry(who.clone()).or_insert((0, now));
            (*count, *at) = (count.saturating_add(1), now);
        }
    }
}

/// Limits the rate of requests of each address.
#[derive(Debug, Default)]
pub struct Rate(Mutex<HashMap<IpAddr, (f64, Instant)>>);

impl Rate {
    /// Returns whether an address may make one more request at this moment.
    pub fn admits(&self, from: IpAddr, now: Instant) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= ADDRESSES && !all.contains_key(&from) {
            all.retain(|_, (left, at)| filled(*left, *at, now) < REQUESTS_AT_ONCE);
            if all.len() >= ADDRESSES {
                return false;
            }
        }
        let (left, at) = all.entry(from).or_insert((REQUESTS_AT_ONCE, now));
        (*left, *at) = (filled(*left, *at, now), now);
        let admits = *left >= 1.0;
        if admits {
            *left -= 1.0;
        }
        admits
    }
}

fn filled(left: f64, at: Instant, now: Instant) -> f64 {
    let more = now.saturating_duration_since(at).as_secs_f64() * REQUESTS_A_SECOND;
    (left + more).min(REQUESTS_AT_ONCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_after_five_failures_up_to_a_minute() {
        let (failures, now) = (Failures::default(), Instant::now());
        let mut waits = vec![];
        for _ in 0..13 {
            failures.note(&"anna", false, now);
            waits.push(failures.wait(&"anna", now).as_secs());
        }
        assert_eq!(waits, [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(failures.wait(&"bert", now), Duration::ZERO);
        assert_eq!(failures.wait(&"anna", now + Duration::from_secs(60)), Duration::ZERO);
        failures.note(&"anna", true, now);
        assert_eq!(failures.wait(&"anna", now), Duration::ZERO);
    }

    #[test]
    fn an_address_may_make_some_requests_at_once_and_then_a_few_a_second() {
        let (rate, start) = (Rate::default(), Instant::now());
        let from: IpAddr = "10.0.0.1".parse().expect("an address");
        let admitted = |now| (0..1000).filter(|_| rate.admits(from, now)).count();
        assert_eq!(admitted(start), REQUESTS_AT_ONCE as usize);
        assert_eq!(admitted(start + Duration::from_secs(1)), REQUESTS_A_SECOND as usize);
        assert!(rate.admits("10.0.0.2".parse().expect("an address"), start));
    }
}
