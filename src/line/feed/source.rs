//! Takes what the hub thread hands out, and never waits.

use super::preview::PreviewSlot;
use crate::line::record::{EdgeRecord, PartRecord};
use crate::line::reply::{Bell, Ear};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// Holds what is handed out.
pub(super) enum Item {
    /// A part that has left.
    Part(Arc<PartRecord>),
    /// A change of an output.
    Edge(EdgeRecord),
}

/// What both ends of the feed share.
#[derive(Default)]
pub(super) struct Shared {
    /// The records that found no room in the queue since the last look.
    pub(super) lost: AtomicU64,
    /// Whether somebody watches the edges.
    pub(super) edges: AtomicBool,
    /// Whether there is a subscriber.
    pub(super) watched: AtomicBool,
}

/// The hub thread's end of the feed.
#[derive(Clone)]
pub struct Feed {
    items: SyncSender<Item>,
    bell: Bell,
    shared: Arc<Shared>,
}

/// The other end, for the thread that serves the subscribers.
pub struct Source {
    pub(super) items: Receiver<Item>,
    pub(super) bell: Bell,
    pub(super) ear: Ear,
    pub(super) shared: Arc<Shared>,
    pub(super) preview: Arc<PreviewSlot>,
}

/// Makes both ends of a feed with room for `queue` records, and with at most `previews_per_second` pictures.
///
/// # Errors
/// An error of the system if there are no more file descriptors.
pub fn feed(
    queue: usize,
    previews_per_second: f64,
) -> std::io::Result<(Feed, Source, Arc<PreviewSlot>)> {
    let (bell, ear) = Bell::new()?;
    let (sender, items) = sync_channel(queue);
    let shared = Arc::new(Shared::default());
    let pause = Duration::try_from_secs_f64(1.0 / previews_per_second).unwrap_or(Duration::MAX);
    let preview = Arc::new(PreviewSlot::new(pause));
    let feed = Feed { items: sender, bell: bell.clone(), shared: shared.clone() };
    Ok((feed, Source { items, bell, ear, shared, preview: preview.clone() }, preview))
}

impl Feed {
    /// Hands out a part that has left.
    pub fn part(&self, record: &Arc<PartRecord>) {
        if self.shared.watched.load(Ordering::Relaxed) {
            self.push(Item::Part(record.clone()));
        }
    }

    /// Hands out a change of an output, if somebody watches.
    pub fn edge(&self, record: EdgeRecord) {
        if self.shared.edges.load(Ordering::Relaxed) {
            self.push(Item::Edge(record));
        }
    }

    fn push(&self, item: Item) {
        if self.items.try_send(item).is_err() {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
        self.bell.ring();
    }
}
