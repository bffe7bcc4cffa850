//! Says which requests there are, and who may make them.

use super::guard::{App, Needs, admit, check, headers};
use super::users::Role;
use super::{api, assets, downloads, events, pictures, reply, taught, templates, upload};
use axum::Router;
use axum::http::StatusCode;
use axum::middleware::{from_fn_with_state, map_response};
use axum::routing::{MethodRouter, get, post};
use std::sync::Arc;

/// Returns what answers all requests of the page.
pub fn router(app: Arc<App>) -> Router {
    let mut router = Router::new();
    for (path, kind, content) in assets::FILES {
        router = router.route(path, get(|| async { assets::file(kind, content) }));
    }
    for (path, needs, method) in routes() {
        let guard = from_fn_with_state((app.clone(), needs), check);
        router = router.route(path, method.route_layer(guard));
    }
    router
        .fallback(|| async { reply::error(StatusCode::NOT_FOUND, "there is nothing here") })
        .layer(from_fn_with_state(app.clone(), admit))
        .layer(map_response(headers))
        .with_state(app)
}

/// Returns the table of requests. A path may stand here twice, if looking and changing need different roles.
fn routes() -> Vec<(&'static str, Needs, MethodRouter<Arc<App>>)> {
    use Needs::{File, Nothing, Role as R};
    use Role::{Engineer, Observer, Operator};
    vec![
        ("/api/session", Nothing, get(api::session)),
        ("/api/setup", Nothing, post(api::setup)),
        ("/api/login", Nothing, post(api::login)),
        ("/api/logout", R(Observer), post(api::logout)),
        ("/api/password", R(Observer), post(api::password)),
        ("/api/state", R(Observer), get(api::state)),
        ("/api/events", R(Observer), get(events::stream)),
        ("/api/preview.jpg", R(Observer), get(pictures::preview)),
        ("/api/rejects/{name}", R(Observer), get(pictures::reject)),
        ("/api/history", R(Observer), get(taught::history)),
        ("/api/slots", R(Observer), get(templates::slots)),
        ("/api/drift", R(Observer), get(api::drift)),
        ("/api/drift", R(Engineer), post(api::change_drift)),
        ("/api/acknowledge", R(Operator), post(api::acknowledge)),
        ("/api/safe", R(Operator), post(api::safe)),
        ("/api/teach", R(Operator), post(taught::teach)),
        ("/api/undo", R(Operator), post(taught::undo)),
        ("/api/day.csv", R(Operator), get(downloads::day)),
        ("/api/lines", R(Engineer), get(api::lines)),
        ("/api/prove", R(Engineer), post(templates::prove)),
        ("/api/select", R(Engineer), post(templates::select)),
        ("/api/upload", File(Engineer), post(upload::upload)),
        ("/api/upload/discard", R(Engineer), post(upload::discard)),
        ("/api/install", R(Engineer), post(templates::install)),
        ("/api/records", R(Engineer), get(downloads::segments)),
        ("/api/records/{name}", R(Engineer), get(downloads::segment)),
        ("/api/pictures.tar", R(Engineer), get(downloads::pictures)),
        ("/api/diagnosis.tar", R(Engineer), get(downloads::diagnosis)),
        ("/api/pulse", R(Engineer), post(api::pulse)),
        ("/api/users", R(Engineer), get(api::users)),
        ("/api/users", R(Engineer), post(api::put_user)),
        ("/api/users/delete", R(Engineer), post(api::remove_user)),
    ]
}
