//! Answers with pictures: the latest one of the line, and those of rejected parts in the archive.

use super::guard::App;
use super::reply;
use crate::part::Part;
use crate::preview::jpeg_of;
use axum::extract::{Path as Segment, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use hetmm::line::archive::newest_picture;
use image::{ImageFormat, ImageReader, Limits};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

/// The most memory that a picture of the archive may take, in bytes.
const MOST: u64 = 128 << 20;
/// The time that a picture may be older than the end of its part.
const OLDER: Duration = Duration::from_secs(60);
/// The time for which a picture is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Holds what a page asks of the latest picture.
#[derive(Deserialize)]
pub struct Wanted {
    part: u64,
}

/// Answers with the latest picture, if it is of this part.
pub async fn preview(State(app): State<Arc<App>>, Query(wanted): Query<Wanted>) -> Response {
    let latest = app.board.now().preview.clone();
    match latest.filter(|latest| latest.part == wanted.part) {
        Some(latest) => reply::bytes(StatusCode::OK, "image/jpeg", latest.jpeg.clone()),
        None => reply::error(StatusCode::NOT_FOUND, "there is a newer picture"),
    }
}

/// Answers with the archived picture of a rejected part, such as `17.jpg`.
pub async fn reject(State(app): State<Arc<App>>, Segment(name): Segment<String>) -> Response {
    let missing = || reply::error(StatusCode::NOT_FOUND, "there is no picture of this part");
    let number = name.strip_suffix(".jpg").and_then(|number| number.parse::<u64>().ok());
    let Some(number) = number else { return missing() };
    let part = app.board.now().rejects.iter().find(|part| part.part == number).cloned();
    let (Some(part), Some(folder)) = (part, app.archive.clone()) else { return missing() };
    let Ok(Ok(place)) = tokio::time::timeout(PATIENCE, app.pictures.acquire()).await else {
        return reply::error(StatusCode::SERVICE_UNAVAILABLE, "other pictures are read");
    };
    let read = tokio::task::spawn_blocking(move || read(&folder, &part)).await;
    drop(place);
    match read {
        Ok(Some(jpeg)) => reply::bytes(StatusCode::OK, "image/jpeg", jpeg),
        _ => missing(),
    }
}

fn read(folder: &Path, part: &Part) -> Option<bytes::Bytes> {
    let mut reader = ImageReader::open(find(folder, part)?).ok()?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(MOST);
    reader.set_format(ImageFormat::Png);
    reader.limits(limits);
    // The page draws outlines in the picture's own pixels, so it is not made smaller.
    jpeg_of(&reader.decode().ok()?.to_rgb8(), u32::MAX).ok()
}

/// Returns the newest picture of a part's number. Numbers begin again with every start of the device, so a picture that
/// is older than the part is another one's.
fn find(folder: &Path, part: &Part) -> Option<PathBuf> {
    let newest = newest_picture(folder, part.part)?;
    let written = std::fs::metadata(&newest).ok()?.modified().ok()?;
    let left = UNIX_EPOCH + Duration::from_millis(part.unix_ms);
    (written + OLDER >= left).then_some(newest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_older_picture_of_the_same_number_is_another_parts() {
        let folder = tempfile::tempdir().expect("a folder");
        let part = |unix_ms: u128| {
            let message = json!({
                "part": 7, "unix_ms": unix_ms as u64, "trigger_us": 0, "outcome": "rejected", "why": "defect",
                "score": null, "threshold": null,
            });
            Part::read(message).expect("a part")
        };
        let now =
            std::time::SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_millis();
        assert_eq!(find(folder.path(), &part(now)), None);
        for name in [
            "000000001-part7-defect.png",
            "000000001-part7-defect.map.png",
            "000000003-part77-defect.png",
            "000000001-part7-defect.json",
        ] {
            std::fs::write(folder.path().join(name), b"no picture").expect("writes");
        }
        let found = find(folder.path(), &part(now)).expect("a file");
        assert_eq!(found.file_name().expect("a name"), "000000001-part7-defect.png");
        assert_eq!(find(folder.path(), &part(now + 3_600_000)), None);
        assert!(read(folder.path(), &part(now)).is_none(), "a damaged file is no picture");
    }
}
