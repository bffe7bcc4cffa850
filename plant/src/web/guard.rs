//! Lets no request through that must not be made: by its host, its origin, its rate, its token and its role.

use super::limits::{BODY, BODY_BYTES};
use super::reply::{self, Refusal};
use super::server::Peer;
use super::sessions::{Session, Sessions};
use super::throttle::{Failures, Rate};
use super::users::{Role, Users};
use crate::board::Board;
use crate::device::Device;
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use hetmm::line::config::{DeviceConfig, WebConfig};
use hetmm::line::inbox::Inbox;
use http_body_util::{BodyExt, Limited};
use serde_json::Value;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Semaphore;

/// The header that brings the token.
pub const TOKEN: &str = "x-token";
/// The names of the cookie, without and with encryption. A browser takes the second one over encrypted connections only.
const COOKIES: [&str; 2] = ["hetmm", "__Host-hetmm"];

/// Holds what all requests share.
pub struct App {
    /// What is known of the production line.
    pub board: Arc<Board>,
    /// The way to the device.
    pub device: Device,
    /// The configuration of the page.
    pub web: WebConfig,
    /// The names of the device.
    pub identity: DeviceConfig,
    /// The folder of archived pictures.
    pub archive: Option<PathBuf>,
    /// The folder of records.
    pub records: Option<PathBuf>,
    /// The place of uploaded templates.
    pub inbox: Option<Inbox>,
    /// The disk space that an upload has to leave free, in bytes.
    pub floor_bytes: u64,
    /// The configuration as this program has understood it.
    pub configuration: String,
    /// The users.
    pub users: Users,
    /// Who is logged in.
    pub sessions: Sessions,
    /// The failed logins of accounts.
    pub accounts: Failures<String>,
    /// The failed logins of addresses.
    pub addresses: Failures<IpAddr>,
    /// The rate of requests.
    pub rate: Rate,
    /// The logins that are under way.
    pub logins: Semaphore,
    /// The one password that is hashed.
    pub hashing: Semaphore,
    /// The event streams.
    pub streams: Arc<Semaphore>,
    /// The one picture that is read from the archive.
    pub pictures: Semaphore,
    /// The one template that is uploaded.
    pub uploads: Semaphore,
    /// The files that are handed out.
    pub downloads: Arc<Semaphore>,
    /// The hash of a password that nobody has.
    pub nobody: String,
    /// Whether connections are encrypted.
    pub is_encrypted: bool,
}

/// Says who makes a request.
#[derive(Debug, Clone)]
pub struct Who {
    /// The session, if somebody is logged in.
    pub session: Option<Session>,
    /// The secret of the session.
    pub secret: String,
    /// The role: that of the session, or that of everybody.
    pub role: Option<Role>,
    /// The address.
    pub from: IpAddr,
}

impl Who {
    /// Returns the name of the user, or `page` if nobody is logged in.
    pub fn name(&self) -> &str {
        self.session.as_ref().map_or("page", |session| &session.user)
    }
}

/// Checks the host and the rate of every request, and says who makes it.
pub async fn admit(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Peer>,
    mut request: Request,
    next: Next,
) -> Response {
    if !app.rate.admits(peer.from, Instant::now()) {
        let mut response = reply::error(StatusCode::SERVICE_UNAVAILABLE, "too many requests");
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        return response;
    }
    let host = host_of(request.headers());
    if !host.as_deref().is_some_and(|host| app.is_host(host, peer.to)) {
        return reply::error(StatusCode::MISDIRECTED_REQUEST, "this name is not in web.hosts");
    }
    let secret = app.secret_of(request.headers()).unwrap_or_default();
    let session = app.sessions.find(&secret, Instant::now());
    let everybody = app.web.anonymous_observer.then_some(Role::Observer);
    let role = session.as_ref().map(|session| session.role).or(everybody);
    request.extensions_mut().insert(Who { session, secret, role, from: peer.from });
    next.run(request).await
}

/// Says what a route needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Nothing,
    /// Somebody with at least this role.
    Role(Role),
    /// Somebody with at least this role, who sends a file and no JSON.
    File(Role),
}

/// Checks role, origin and token of a request.
pub async fn check(
    State((app, needs)): State<(Arc<App>, Needs)>,
    Extension(who): Extension<Who>,
    request: Request,
    next: Next,
) -> Response {
    if let Needs::Role(role) | Needs::File(role) = needs {
        match who.role {
            None => return reply::error(StatusCode::UNAUTHORIZED, "log in first"),
            Some(own) if own < role => {
                return reply::error(StatusCode::FORBIDDEN, "your role does not allow this");
            }
            Some(_) => {}
        }
    }
    if request.method() == Method::POST
        && let Err(why) = app.is_own(&request, &who, needs)
    {
        return reply::error(StatusCode::FORBIDDEN, why);
    }
    next.run(request).await
}

/// Adds the headers that every answer has.
pub async fn headers(mut response: Response) -> Response {
    let policy = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";
    let all = [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in all {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

impl App {
    /// Returns whether the page may be asked for under a name. Other names may belong to somebody who has turned them to
    /// this address.
    fn is_host(&self, host: &str, own: IpAddr) -> bool {
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        match address {
            Ok(address) => address.to_canonical() == own || address.is_loopback(),
            Err(_) => {
                let names = self.web.hosts.iter().map(String::as_str);
                let mut names = names.chain(["localhost", &self.identity.name]);
                names.any(|name| name.eq_ignore_ascii_case(host))
            }
        }
    }

    fn secret_of(&self, headers: &HeaderMap) -> Option<String> {
        let name = COOKIES[usize::from(self.is_encrypted)];
        let cookies =
            headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs =
            cookies.flat_map(|value| value.split(';')).filter_map(|p| p.trim().split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, secret)| secret.to_owned())
    }

    /// Returns the header that gives a browser the secret of a session, or takes it away.
    pub fn cookie(&self, secret: Option<&str>) -> HeaderValue {
        let name = COOKIES[usize::from(self.is_encrypted)];
        let secure = if self.is_encrypted { "; Secure" } else { "" };
        let (value, life) = match secret {
            Some(secret) => (secret, ""),
            None => ("", "; Max-Age=0"),
        };
        let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{life}");
        HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
    }

    /// Checks that a request comes from this page, and from the one who is logged in.
    fn is_own(&self, request: &Request, who: &Who, needs: Needs) -> Result<(), &'static str> {
        let headers = request.headers();
        let text =
            |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let host = text(header::HOST).unwrap_or_default();
        let scheme = if self.is_encrypted { "https" } else { "http" };
        if text(header::ORIGIN) != Some(&format!("{scheme}://{host}")) {
            return Err("the request comes from another page");
        }
        let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
        if site.is_some_and(|site| site != b"same-origin") {
            return Err("the request comes from another page");
        }
        let kind = text(header::CONTENT_TYPE).unwrap_or_default();
        // No form of another page can send these.
        let (wanted, otherwise) = match needs {
            Needs::File(_) => ("application/octet-stream", "the content is no file"),
            Needs::Nothing | Needs::Role(_) => ("application/json", "the content is no JSON"),
        };
        if kind.split(';').next().map(str::trim) != Some(wanted) {
            return Err(otherwise);
        }
        if needs == Needs::Nothing {
            return Ok(());
        }
        let token = headers.get(TOKEN).map(HeaderValue::as_bytes).unwrap_or_default();
        let wanted = who.session.as_ref().map(|session| session.token.as_bytes());
        // Hashes are compared, so that the time tells nothing of the token.
        match wanted {
            Some(wanted) if blake3::hash(wanted) == blake3::hash(token) => Ok(()),
            Some(_) => Err("the token is not that of the session"),
            None => Err("log in first"),
        }
    }
}

fn host_of(headers: &HeaderMap) -> Option<String> {
    let mut all = headers.get_all(header::HOST).iter();
    let host = all.next()?.to_str().ok()?;
    if all.next().is_some() {
        return None;
    }
    let name = match host.rfind(']') {
        Some(end) => host.get(..=end)?,
        None => host.split(':').next()?,
    };
    Some(name.to_owned())
}

/// Reads the content of a request as JSON.
///
/// # Errors
/// The answer for a content that is too long, too slow, or no JSON object.
pub async fn content(body: Body) -> Result<Value, Refusal> {
    let read = tokio::time::timeout(BODY, Limited::new(body, BODY_BYTES).collect()).await;
    let bytes = match read {
        Err(_) => return Err(reply::refusal(StatusCode::REQUEST_TIMEOUT, "too slow")),
        Ok(Err(_)) => return Err(reply::refusal(StatusCode::PAYLOAD_TOO_LARGE, "too long")),
        Ok(Ok(bytes)) => bytes.to_bytes(),
    };
    let value = serde_json::from_slice::<Value>(&bytes).ok().filter(Value::is_object);
    value.ok_or_else(|| reply::refusal(StatusCode::BAD_REQUEST, "the content is no JSON object"))
}
