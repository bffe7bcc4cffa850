//! Streams what happens to a page (server-sent events). A page that reads slowly misses events, is told so, and fetches
//! the state anew.

use super::guard::App;
use super::reply;
use crate::board::Event;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc::{Sender, channel};
use tokio::time::{MissedTickBehavior, interval};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

/// The number of events that may wait for a page.
const RING: usize = 64;
/// The time between two signs of life without events.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Streams events until the page goes.
pub async fn stream(State(app): State<Arc<App>>) -> Response {
    let Ok(place) = app.streams.clone().try_acquire_owned() else {
        return reply::error(StatusCode::SERVICE_UNAVAILABLE, "too many pages are open");
    };
    let (sender, receiver) = channel(RING);
    tokio::spawn(async move {
        follow(&app, &sender).await;
        drop(place);
    });
    let content = ReceiverStream::new(receiver).map(Ok::<Bytes, Infallible>);
    reply::bytes(StatusCode::OK, "text/event-stream", Body::from_stream(content))
}

/// Hands events to a page until it goes.
async fn follow(app: &App, page: &Sender<Bytes>) {
    let _viewer = app.board.look();
    let mut events = app.board.subscribe();
    let mut alive = interval(KEEP_ALIVE);
    alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut has_missed = false;
    loop {
        let message = tokio::select! {
            event = events.recv() => match event {
                Ok(event) => message(&event),
                Err(RecvError::Lagged(_)) => {
                    has_missed = true;
                    continue;
                }
                Err(RecvError::Closed) => return,
            },
            _ = alive.tick() => Bytes::from_static(b": alive\n\n"),
            () = page.closed() => return,
        };
        if has_missed && page.try_send(Bytes::from_static(b"event: resync\ndata: {}\n\n")).is_ok() {
            has_missed = false;
        }
        if page.try_send(message).is_err() {
            has_missed = true;
        }
    }
}

fn message(event: &Event) -> Bytes {
    let (name, data): (&str, Value) = match event {
        Event::Part(part) => ("part", part.summary()),
        Event::Status(status) => ("status", (**status).clone()),
        Event::Preview(preview) => ("preview", preview.summary()),
        Event::Feed(is_there) => {
            ("feed", json!({"feed": if *is_there { "alive" } else { "silent" }}))
        }
    };
    format!("event: {name}\ndata: {data}\n\n").into()
}
