//! Asks `hetmm-edge` for something, in somebody's name, through its control socket.

use hetmm::line::config::ControlConfig;
use hetmm::line::control;
use hetmm::line::request::Request;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;

/// Says what became of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// The device has done it. This is its answer.
    Done(Value),
    /// The device does not do it, and says why.
    Refused(String),
    /// The device does not answer.
    Silent(String),
}

/// The way to the device.
#[derive(Debug, Clone)]
pub struct Device {
    socket: Option<PathBuf>,
    /// Whether requests may be made in somebody's name.
    has_user: bool,
    may: Arc<Vec<String>>,
}

impl Device {
    /// Makes the way that a configuration names.
    pub fn new(config: &ControlConfig) -> Self {
        let may = Arc::new(config.plant_may.clone());
        Device { socket: config.socket.clone(), has_user: config.plant_user.is_some(), may }
    }

    /// Returns whether the configuration allows a request.
    pub fn may(&self, request: &str) -> bool {
        let verb = Request::parse(request).map(Request::verb);
        self.has_user && verb.is_some_and(|verb| self.may.iter().any(|allowed| allowed == verb))
    }

    /// Asks for something in the name of a person. Requests that only look need no name.
    pub async fn ask(&self, person: &str, request: &str) -> Said {
        let Some(socket) = self.socket.clone() else {
            return Said::Silent("the configuration names no control.socket".into());
        };
        let looks = matches!(request, "status" | "history" | "lines" | "drift status" | "slots");
        if !self.has_user && !looks {
            return Said::Refused("the configuration names no control.plant_user".into());
        }
        let words = match self.has_user {
            true => format!("for \"{person}\" {request}"),
            false => request.to_owned(),
        };
        let asked = tokio::task::spawn_blocking(move || control::ask(&socket, &words)).await;
        let answer = match asked {
            Ok(Ok(answer)) => answer,
            Ok(Err(why)) => return Said::Silent(why.to_string()),
            Err(why) => return Said::Silent(why.to_string()),
        };
        match serde_json::from_str::<Value>(&answer) {
            Ok(answer) => match answer.get("error").and_then(Value::as_str) {
                Some(why) => Said::Refused(why.to_owned()),
                None => Said::Done(answer),
            },
            Err(why) => Said::Silent(format!("its answer is incomplete: {why}")),
        }
    }
}
