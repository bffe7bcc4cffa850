//! Answers the requests that change the template. They go in two steps: the device checks a template and says what is in
//! it; then somebody confirms the digest that was shown.

use super::api::{Answer, number, text};
use super::guard::{App, Who, content};
use super::reply::{self, Refusal};
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::Response;
use hetmm::line::slot::DigestPrefix;
use serde_json::Value;
use std::sync::Arc;

/// `GET /api/slots`: the templates that can be selected.
pub async fn slots(State(app): State<Arc<App>>, Extension(who): Extension<Who>) -> Response {
    app.ask(&who, "slots").await
}

/// `POST /api/prove`: checks the template of a slot, and compares it with the one in use. Nothing changes.
pub async fn prove(
    State(app): State<Arc<App>>,
    Extension(who): Extension<Who>,
    body: Body,
) -> Answer {
    let slot = number(&content(body).await?, "slot")?;
    Ok(app.ask(&who, &format!("prove {slot}")).await)
}

/// `POST /api/select`: changes to another template, if its digest is the one that was shown.
pub async fn select(
    State(app): State<Arc<App>>,
    Extension(who): Extension<Who>,
    body: Body,
) -> Answer {
    let (slot, digest) = confirmed(&content(body).await?)?;
    Ok(app.ask(&who, &format!("select {slot} {digest}")).await)
}

/// `POST /api/install`: copies the uploaded template into a slot and changes to it, if its digest is the one that was
/// shown.
pub async fn install(
    State(app): State<Arc<App>>,
    Extension(who): Extension<Who>,
    body: Body,
) -> Answer {
    let (slot, digest) = confirmed(&content(body).await?)?;
    Ok(app.ask(&who, &format!("install {slot} {digest}")).await)
}

/// Returns the slot and the digest that somebody has confirmed.
fn confirmed(content: &Value) -> Result<(u64, DigestPrefix), Refusal> {
    let (slot, digest) = (number(content, "slot")?, text(content, "digest")?);
    let digest = DigestPrefix::parse(digest).ok_or_else(|| {
        reply::refusal(StatusCode::BAD_REQUEST, "the digest has 8 to 64 hexadecimal digits")
    })?;
    Ok((slot, digest))
}
