//! Keeps who is logged in. Sessions live in memory: a restart ends them all.

use super::users::Role;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The longest life of a session.
const LIFE: Duration = Duration::from_secs(12 * 3600);
/// The time after which a silent session ends, for an engineer and for others.
const ENGINEER_IDLE: Duration = Duration::from_secs(30 * 60);
const OTHERS_IDLE: Duration = Duration::from_secs(8 * 3600);
/// The most sessions. The one that has been silent longest makes room for a new one.
const MOST: usize = 64;

/// Says who makes a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The name of the user.
    pub user: String,
    /// The role of the user.
    pub role: Role,
    /// The token that a request has to bring that changes something.
    pub token: String,
    begun_at: Instant,
    seen_at: Instant,
}

impl Session {
    fn lives(&self, now: Instant) -> bool {
        let idle = if self.role == Role::Engineer { ENGINEER_IDLE } else { OTHERS_IDLE };
        now.saturating_duration_since(self.begun_at) < LIFE
            && now.saturating_duration_since(self.seen_at) < idle
    }
}

/// Holds all sessions, by the hashes of their secrets.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<HashMap<blake3::Hash, Session>>);

impl Sessions {
    /// Begins a session. Returns its secret, and what it may do.
    ///
    /// # Errors
    /// Says that the system has no random numbers.
    pub fn begin(&self, user: &str, role: Role, now: Instant) -> Result<(String, Session), String> {
        let (secret, token) = (random()?, random()?);
        let session = Session { user: user.to_owned(), role, token, begun_at: now, seen_at: now };
        let mut sessions = self.lock();
        sessions.retain(|_, session| session.lives(now));
        if sessions.len() >= MOST {
            let oldest = sessions.iter().min_by_key(|(_, session)| session.seen_at);
            if let Some(oldest) = oldest.map(|(hash, _)| *hash) {
                sessions.remove(&oldest);
            }
        }
        sessions.insert(blake3::hash(secret.as_bytes()), session.clone());
        Ok((secret, session))
    }

    /// Returns the session of a secret, and notes that it is in use.
    pub fn find(&self, secret: &str, now: Instant) -> Option<Session> {
        let (mut sessions, hash) = (self.lock(), blake3::hash(secret.as_bytes()));
        let session = sessions.get_mut(&hash)?;
        if !session.lives(now) {
            sessions.remove(&hash);
            return None;
        }
        session.seen_at = now;
        Some(session.clone())
    }

    /// Ends the session of a secret.
    pub fn end(&self, secret: &str) {
        self.lock().remove(&blake3::hash(secret.as_bytes()));
    }

    /// Ends all sessions of a user.
    pub fn end_all(&self, user: &str) {
        self.lock().retain(|_, session| session.user != user);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<blake3::Hash, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns 256 random bits as text.
fn random() -> Result<String, String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|why| format!("no random numbers: {why}"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_end_by_silence_by_age_and_by_a_new_password() {
        let (sessions, start) = (Sessions::default(), Instant::now());
        let minutes = |count: u64| start + Duration::from_secs(60 * count);
        for (role, idle) in [(Role::Engineer, 30), (Role::Operator, 480)] {
            let (secret, session) = sessions.begin("anna", role, start).expect("begins");
            assert_eq!(secret.len(), 43);
            assert_ne!(secret, session.token);
            assert!(sessions.find(&secret, minutes(idle - 1)).is_some());
            assert!(sessions.find(&secret, minutes(idle + 20)).is_some(), "it was in use");
            assert!(sessions.find(&secret, minutes(2 * idle + 20)).is_none());
            assert!(sessions.find(&secret, start).is_none(), "what has ended stays ended");
        }
        let (secret, _) = sessions.begin("anna", Role::Operator, start).expect("begins");
        (1..=3).for_each(|step| {
            sessions.find(&secret, minutes(step * 230));
        });
        assert!(sessions.find(&secret, minutes(12 * 60)).is_none(), "twelve hours are the most");
        let (first, _) = sessions.begin("anna", Role::Operator, start).expect("begins");
        let (second, _) = sessions.begin("bert", Role::Operator, start).expect("begins");
        sessions.end_all("anna");
        assert!(sessions.find(&first, start).is_none() && sessions.find(&second, start).is_some());
        sessions.end(&second);
        assert!(sessions.find(&second, start).is_none());
    }

    #[test]
    fn there_are_never_too_many_sessions() {
        let (sessions, start) = (Sessions::default(), Instant::now());
        let begin = |step: u64| {
            let now = start + Duration::from_secs(step);
            sessions.begin("anna", Role::Observer, now).expect("begins").0
        };
        let first = begin(0);
        (1..=MOST as u64).for_each(|step| drop(begin(step)));
        assert_eq!(sessions.lock().len(), MOST);
        assert!(sessions.find(&first, start).is_none());
    }
}
