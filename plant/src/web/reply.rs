//! Makes answers.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// Returns a JSON answer.
pub fn json(status: StatusCode, content: &Value) -> Response {
    bytes(status, "application/json", content.to_string())
}

/// Returns a JSON answer that says what is wrong.
pub fn error(status: StatusCode, why: impl std::fmt::Display) -> Response {
    json(status, &json!({"error": why.to_string()}))
}

/// Returns an answer of any kind.
pub fn bytes(status: StatusCode, kind: &'static str, content: impl Into<Body>) -> Response {
    let mut response = Response::new(content.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// Says why a request is not carried out.
#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    why: String,
    retry_after_s: Option<u64>,
}

/// Refuses a request.
pub fn refusal(status: StatusCode, why: impl std::fmt::Display) -> Refusal {
    Refusal { status, why: why.to_string(), retry_after_s: None }
}

impl Refusal {
    /// Says when the request may be tried again.
    pub fn until(self, seconds: u64) -> Self {
        Refusal { retry_after_s: Some(seconds), ..self }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = error(self.status, &self.why);
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
