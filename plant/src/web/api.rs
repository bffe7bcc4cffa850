//! Answers the requests of the page.

use super::guard::{App, Who, content};
use super::reply::{self, Refusal};
use super::users::{Role, User, is_name};
use super::{passwords, setup as codes};
use crate::device::Said;
use crate::part::Part;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// What may be asked of the device, with the role that it needs.
const VERBS: [(&str, &str, Role); 11] = [
    ("acknowledge", "acknowledge", Role::Operator),
    ("safe", "safe", Role::Operator),
    ("teach", "teach 1", Role::Operator),
    ("teach_force", "teach 1 force", Role::Engineer),
    ("undo", "undo", Role::Operator),
    ("prove", "prove 1", Role::Engineer),
    ("select", "select 1", Role::Engineer),
    ("install", "install 1 00000000", Role::Engineer),
    ("pulse", "pulse ng", Role::Engineer),
    ("drift_learn", "drift learn", Role::Engineer),
    ("drift_accept", "drift accept", Role::Engineer),
];

/// What a request gets.
pub(super) type Answer = Result<Response, Refusal>;

/// Returns the wall clock in milliseconds since 1970.
pub(super) fn now_unix_ms() -> u64 {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(unix.as_millis()).unwrap_or(0)
}

/// Logs what has failed, and returns an answer that does not name it.
pub(super) fn failed(why: impl std::fmt::Display) -> Refusal {
    log::error!("web: {why}");
    reply::refusal(StatusCode::INTERNAL_SERVER_ERROR, "this failed; the log says why")
}

/// Returns a text of a request's content.
pub(super) fn text<'a>(content: &'a Value, key: &str) -> Result<&'a str, Refusal> {
    let found = content.get(key).and_then(Value::as_str);
    found.ok_or_else(|| reply::refusal(StatusCode::BAD_REQUEST, format!("{key} is missing")))
}

/// Returns a number of a request's content.
pub(super) fn number(content: &Value, key: &str) -> Result<u64, Refusal> {
    let found = content.get(key).and_then(Value::as_u64);
    found.ok_or_else(|| reply::refusal(StatusCode::BAD_REQUEST, format!("{key} is missing")))
}

impl App {
    /// Returns what a page needs to know of itself.
    fn session_of(&self, role: Option<Role>, session: Option<&super::sessions::Session>) -> Value {
        let version = self.board.now().version.clone();
        let has_users = self.users.list().map_or(true, |users| !users.is_empty());
        json!({
            "role": role.map_or(json!("none"), |role| json!(role)),
            "user": session.map(|session| &session.user),
            "token": session.map(|session| &session.token),
            "setup": !has_users,
            "anonymous_observer": self.web.anonymous_observer,
            "language": self.web.language,
            "plain_http": !self.is_encrypted,
            "device": {"name": self.identity.name, "site": self.identity.site, "version": version},
        })
    }

    /// Begins a session, and gives the browser its secret.
    fn begin(&self, user: &User) -> Answer {
        let (secret, session) =
            self.sessions.begin(&user.name, user.role, Instant::now()).map_err(failed)?;
        let content = self.session_of(Some(user.role), Some(&session));
        let mut response = reply::json(StatusCode::OK, &content);
        response.headers_mut().insert(header::SET_COOKIE, self.cookie(Some(&secret)));
        Ok(response)
    }

    /// Computes with a password, one at a time. Too many that wait are turned away.
    async fn hashing<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let busy = || reply::refusal(StatusCode::SERVICE_UNAVAILABLE, "too many log in; try again");
        let _place = self.logins.try_acquire().map_err(|_| busy())?;
        let _turn = self.hashing.acquire().await.map_err(failed)?;
        tokio::task::spawn_blocking(work).await.map_err(failed)
    }

    /// Makes a user with a new password.
    async fn new_user(&self, name: &str, role: Role, password: &str) -> Result<User, Refusal> {
        if !is_name(name) {
            return Err(reply::refusal(StatusCode::BAD_REQUEST, "this name cannot be used"));
        }
        let (secret, own) = (password.to_owned(), name.to_owned());
        let work = move || match passwords::weakness(&secret, &own) {
            Some(why) => Err(reply::refusal(StatusCode::BAD_REQUEST, why)),
            None => passwords::hash(&secret).map_err(failed),
        };
        let hash = self.hashing(work).await??;
        let user = User { name: name.to_owned(), role, hash };
        self.users.put(user.clone()).map_err(|why| reply::refusal(StatusCode::CONFLICT, why))?;
        Ok(user)
    }

    /// Asks the device for something in the name of who is logged in.
    pub(super) async fn ask(&self, who: &Who, request: &str) -> Response {
        match self.device.ask(who.name(), request).await {
            Said::Done(answer) => reply::json(StatusCode::OK, &answer),
            Said::Refused(why) => reply::error(StatusCode::CONFLICT, why),
            Said::Silent(why) => reply::error(StatusCode::BAD_GATEWAY, why),
        }
    }

    fn may(&self, role: Option<Role>) -> Vec<&'static str> {
        let allowed = VERBS.iter().filter(|(_, request, needs)| {
            role.is_some_and(|role| role >= *needs) && self.device.may(request)
        });
        let has_inbox = self.inbox.is_some();
        allowed.map(|(name, ..)| *name).filter(|name| has_inbox || *name != "install").collect()
    }

    fn listed(&self, part: &Part) -> Value {
        let mut summary = part.summary();
        let has_picture = self.archive.is_some() && part.why.as_deref() == Some("defect");
        if let Some(fields) = summary.as_object_mut() {
            fields.insert("picture".into(), has_picture.into());
        }
        summary
    }
}

/// `GET /api/session`: who is logged in.
pub async fn session(State(app): State<Arc<App>>, Extension(who): Extension<Who>) -> Response {
    reply::json(StatusCode::OK, &app.session_of(who.role, who.session.as_ref()))
}

/// `POST /api/setup`: makes the first engineer, with the code that the device has printed.
pub async fn setup(
    State(app): State<Arc<App>>,
    Extension(who): Extension<Who>,
    body: Body,
) -> Answer {
    let content = content(body).await?;
    let (code, name, password) =
        (text(&content, "code")?, text(&content, "user")?, text(&content, "password")?);
    let wait = app.addresses.wait(&who.from, Instant::now());
    if !wait.is_zero() {
        return Err(too_early(wait));
    }
    if !app.users.list().map_err(failed)?.is_empty() {
        return Err(reply::refusal(StatusCode::CONFLICT, "there are users already"));
    }
    if let Some(why) = passwords::weakness(password, name) {
        return Err(reply::refusal(StatusCode::BAD_REQUEST, why));
    }
    let now_unix_s = now_unix_ms() / 1000;
    let is_right = codes::try_code(&app.web.users, code, now_unix_s).map_err(failed)?;
    app.addresses.note(&who.from, is_right, Instant::now());
    if !is_right {
        return Err(reply::refusal(StatusCode::FORBIDDEN, "the code is wrong or no longer valid"));
    }
    let user = app.new_user(name, Role::Engineer, password).await?;
    log::warn!("web: {name} is the first engineer, from {}", who.from);
    app.begin(&user)
}

fn too_early(wait: std::time::Duration) -> Refusal {
    let seconds = wait.as_secs() + 1;
    reply::refusal(StatusCode::TOO_MANY_REQUESTS, format!("wait {seconds} s after failed tries"))
        .until(seconds)
}

/// `POST /api/login`: begins a session.
pub async fn login(
    State(app): State<Arc<App>>,
    Extension(who): Extension<Who>,
    body: Body,
) -> Answer {
    let content = content(body).await?;
    let (name, password) =
        (text(&content, "user")?.to_owned(), text(&content, "password")?.to_owned());
    let now = Instant::now();
    let wait = app.accounts.wait(&name, now).max(app.addresses.wait(&who.from, now));
    if !wait.is_zero() {
        return Err(too_early(wait));
    }
    let user = app.users.find(&name).map_err(failed)?;
    let is_known = user.is_some();
    // Unknown users cost the same time.
    let hash = user.as_ref().map_or_else(|| app.nobody.clone(), |user| user.hash.clone());
    let is_right = app.hashing(move || passwords::verify(&password, &hash)).await?;
    let user = user.filter(|_| is_right);
    app.accounts.note(&name, user.is_some(), Instant::now());
    app.addresses.note(&who.from, user.is_some(), Instant::now());
    match user {
        Some(user) => {
            log::info!("web: {name} logs in from {}", who.from);
            app.begin(&user)
        }
        None => {
            log::warn!("web: a login as {name:?} fails, from {}", who.from);
            app.note_failure(is_known.then_some(name), who.from);
            Err(reply::refusal(StatusCode::UNAUTHORIZED, "name or password is wrong"))
        }
    }
}

impl App {
    /// Has a failed login noted in the chain of records, if the configuration allows that. Nobody waits for it. The name
    /// of no user is not noted: it may be a password in the wrong field.
    fn note_failure(&self, user: Option<String>, from: IpAddr) {
        let request = format!("login failed {from}");
        if self.device.may(&request) {
            let (device, user) = (self.device.clone(), user.unwrap_or_else(|| "unknown".into()));
            tokio::spawn(async move { device.ask(&user, &request).await });
        }
    }
}

/// `POST /api/logout`: ends the session.
pub async fn logout(State(app): State<Arc<App>>, Extension(who): Extension<Who>) -> Response {
    app.sessions.end(&who.secret);
    let everybody = app.web.anonymous_observer.then_some(Role::Observer);
    let mut response = reply::json(StatusCode::OK, &app.session_of(everybody, None));
    response.headers_mut().insert(header::SET_COOKIE, app.cookie(None));
    response
}

/// `POST /api/password`: changes the own password. All sessions of the user end, and a new one begins.
pub async fn password(
    State(app): State<Arc<App>>,
    Extension(who): Extension<Who>,
    body: Body,
) -> Answer {
    let content = content(body).await?;
    let (old, new) = (text(&content, "old")?.to_owned(), text(&content, "new")?);
    let name = who.session.as_ref().map(|session| session.user.clone()).unwrap_or_default();
    let wait = app.accounts.wait(&name, Instant::now());
    if !wait.is_zero() {
        return Err(too_early(wait));
    }
    let user = app.users.find(&name).map_err(failed)?;
    let Some(user) = user else {
        return Err(reply::refusal(StatusCode::CONFLICT, "this user is gone"));
    };
    let hash = user.hash.clone();
    let is_right = app.hashing(move || passwords::verify(&old, &hash)).await?;
    app.accounts.note(&name, is_right, Instant::now());
    if !is_right {
        app.note_failure(Some(name), who.from);
        return Err(reply::refusal(StatusCode::FORBIDDEN, "the old password is wrong"));
    }
    let user = app.new_user(&name, user.role, new).await?;
    app.sessions.end_all(&name);
    app.begin(&user)
}

/// `GET /api/state`: everything that the page shows at first.
pub async fn state(State(app): State<Arc<App>>, Extension(who): Extension<Who>) -> Response {
    let now = app.board.now();
    let content = json!({
        "feed": if now.is_alive(Instant::now()) { "alive" } else { "silent" },
        "status": *now.status,
        "parts": now.parts.iter().map(|part| part.summary()).collect::<Vec<_>>(),
        "rejects": now.rejects.iter().rev().map(|part| app.listed(part)).collect::<Vec<_>>(),
        "preview": now.preview.as_ref().map(|preview| preview.summary()),
        "may": app.may(who.role),
    });
    drop(now);
    reply::json(StatusCode::OK, &content)
}

/// `GET /api/drift`: what the drift watch sees.
pub async fn drift(State(app): State<Arc<App>>, Extension(who): Extension<Who>) -> Response {
    app.ask(&who, "drift status").await
}

/// `POST /api/drift`: learns anew, or takes what is as usual.
pub async fn change_drift(
    State(app): State<Arc<App>>,
    Extension(who): Extension<Who>,
    body: Body,
) -> Answer {
    let content = content(body).await?;
    match text(&content, "do")? {
        word @ ("learn" | "accept") => Ok(app.ask(&who, &format!("drift {word}")).await),
        _ => Err(reply::refusal(StatusCode::BAD_REQUEST, "do is learn or accept")),
    }
}

/// `GET /api/lines`: inputs and outputs.
pub async fn lines(State(app): State<Arc<App>>, Extension(who): Extension<Who>) -> Response {
    app.ask(&who, "lines").await
}

/// `POST /api/acknowledge`: ends the alarm.
pub async fn acknowledge(State(app): State<Arc<App>>, Extension(who): Extension<Who>) -> Response {
    app.ask(&who, "acknowledge").await
}

/// `POST /api/safe`: takes the safe state. Only somebody at the device can leave it.
pub async fn safe(State(app): State<Arc<App>>, Extension(who): Extension<Who>) -> Response {
    app.ask(&who, "safe").await
}

/// `POST /api/pulse`: pulses the reject output, in commissioning.
pub async fn pulse(State(app): State<Arc<App>>, Extension(who): Extension<Who>) -> Response {
    app.ask(&who, "pulse ng").await
}

/// `GET /api/users`: the users and their roles.
pub async fn users(State(app): State<Arc<App>>) -> Answer {
    let users = app.users.list().map_err(failed)?;
    let row = |user: &User| json!({"name": user.name, "role": user.role});
    Ok(reply::json(StatusCode::OK, &json!({"users": users.iter().map(row).collect::<Vec<_>>()})))
}

/// `POST /api/users`: adds a user, or gives one another role and password. That ends the user's sessions.
pub async fn put_user(
    State(app): State<Arc<App>>,
    Extension(who): Extension<Who>,
    body: Body,
) -> Answer {
    let content = content(body).await?;
    let role = content.get("role").cloned().unwrap_or_default();
    let Ok(role) = serde_json::from_value::<Role>(role) else {
        return Err(reply::refusal(
            StatusCode::BAD_REQUEST,
            "role is observer, operator or engineer",
        ));
    };
    let (name, password) = (text(&content, "name")?, text(&content, "password")?);
    let own = who.session.as_ref().map_or("", |session| &session.user);
    if name == own {
        return Err(reply::refusal(
            StatusCode::CONFLICT,
            "change your own password in your own menu",
        ));
    }
    app.new_user(name, role, password).await?;
    app.sessions.end_all(name);
    log::warn!("web: {own} sets the user {name} up");
    Ok(reply::json(StatusCode::OK, &json!({"done": format!("{name} is set up")})))
}

/// `POST /api/users/delete`: removes a user.
pub async fn remove_user(
    State(app): State<Arc<App>>,
    Extension(who): Extension<Who>,
    body: Body,
) -> Answer {
    let content = content(body).await?;
    let name = text(&content, "name")?;
    let was_there =
        app.users.remove(name).map_err(|why| reply::refusal(StatusCode::CONFLICT, why))?;
    if !was_there {
        return Err(reply::refusal(StatusCode::NOT_FOUND, "there is no such user"));
    }
    app.sessions.end_all(name);
    log::warn!("web: {} removes the user {name}", who.session.map_or_else(String::new, |s| s.user));
    Ok(reply::json(StatusCode::OK, &json!({"done": format!("{name} is removed")})))
}
