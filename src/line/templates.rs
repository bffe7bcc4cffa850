//! The template in use, and how another takes its place while parts keep coming.
//!
//! A template is copied into memory of the process's own, proven byte by byte, joined with its
//! backbone and made to compute its golden probes before it is used for a part. What is wrong with
//! a new one leaves the old one in its place.

use super::engine::{Event, Fault};
use super::hub::{Message, Outbox};
use super::inspect::Current;
use crate::backbone::Engine;
use crate::error::{Error, Kind, Result};
use crate::inspection::Inspector;
use crate::template::Template;
use nix::sys::memfd::{MFdFlags, memfd_create};
use serde_json::{Value, json};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often the file is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// What tells one state of a file from another.
type Mark = (u64, u64, i64, i64);

/// Loads templates and puts them in use.
pub struct Templates {
    file: PathBuf,
    backbone: Option<PathBuf>,
    current: Arc<Current>,
    hub: Outbox,
    /// The file as it was last tried, and what came of it; held while one is loaded.
    last: Mutex<(Option<Mark>, Option<String>)>,
}

impl Templates {
    /// For a template file and, where it is not the bundled one, its backbone.
    pub fn new(
        file: PathBuf,
        backbone: Option<PathBuf>,
        current: Arc<Current>,
        hub: Outbox,
    ) -> Self {
        Templates { file, backbone, current, hub, last: Mutex::default() }
    }

    /// The template's file, and its backbone's where that is not the bundled one.
    pub fn files(&self) -> (&Path, Option<&Path>) {
        (&self.file, self.backbone.as_deref())
    }

    /// Loads and proves the file and puts it in use.
    ///
    /// # Errors
    /// Where anything is wrong; the template in use stays in use.
    pub fn reload(&self) -> Result<String> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.0 = mark(&self.file);
        match load(&self.file, self.backbone.as_deref()) {
            Ok(inspector) => {
                let header = inspector.template().header();
                let threshold = header.calibration.threshold;
                let what = format!("{}: proven, threshold {threshold}", self.file.display());
                self.current.set(Arc::new(inspector));
                last.1 = None;
                let event = Event::Condition { fault: Fault::Template, present: false };
                self.hub.send(Message::Event(event));
                log::info!("{what}");
                Ok(what)
            }
            Err(why) => {
                let kept = if self.current.get().is_some() { "; the old one stays" } else { "" };
                log::error!("the template is refused: {why}{kept}");
                last.1 = Some(why.to_string());
                Err(why)
            }
        }
    }

    /// Loads the file, and again whenever it has changed, until the device stops.
    pub fn run(&self, watch: bool) {
        // What went wrong was logged; a better file may come.
        let _ = self.reload();
        let mut changed: Option<Mark> = None;
        while watch && !self.hub.stopped() {
            std::thread::sleep(LOOK);
            let seen = mark(&self.file);
            let tried = self.last.lock().unwrap_or_else(PoisonError::into_inner).0;
            if seen.is_none() || seen == tried {
                changed = None;
            } else if seen == changed {
                // Two looks saw the same: whoever writes it is done.
                let _ = self.reload();
            } else {
                changed = seen;
            }
        }
    }

    /// For the status.
    pub fn to_json(&self) -> Value {
        let current = self.current.get();
        let refused = self.last.try_lock().ok().and_then(|last| last.1.clone());
        let template = current.as_ref().map(|inspector| inspector.template());
        json!({
            "file": self.file,
            "threshold": template.map(|t| t.header().calibration.threshold),
            "backbone": template.map(|t| t.header().backbone.to_string()),
            "refused": refused,
        })
    }
}

fn mark(file: &Path) -> Option<Mark> {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec()))
}

/// Loads and proves a template.
///
/// # Errors
/// [`Kind::Template`] or [`Kind::Model`], also where the golden probes differ on this machine.
pub fn load(file: &Path, backbone: Option<&Path>) -> Result<Inspector> {
    let template = Template::from_file(&copy(file)?).map_err(|e| e.within(file.display()))?;
    let inspector = Inspector::join(template, backbone, &Engine::default())
        .map_err(|e| e.within(file.display()))?;
    for probe in inspector.check_probes()? {
        if !probe.agrees {
            let what = format!(
                "{}: golden probe {} scores {} here, {} where the template was built",
                file.display(),
                probe.name,
                probe.score,
                probe.expected
            );
            return Err(Error::template(what)
                .advise("build the template again with this version; if it stays, report it"));
        }
    }
    Ok(inspector)
}

/// A copy in memory that no other process can change or cut.
fn copy(file: &Path) -> Result<File> {
    let failed = |e: std::io::Error| Error::io(file, "the template cannot be read", &e);
    let mut from = File::open(file).map_err(failed)?;
    if !from.metadata().map_err(failed)?.is_file() {
        return Err(Error::new(Kind::Template, format!("{}: not a file", file.display())));
    }
    let memory = memfd_create(c"hetmm-template", MFdFlags::MFD_CLOEXEC)
        .map_err(|e| Error::new(Kind::Io, format!("no memory for a template: {e}")))?;
    let mut to = File::from(memory);
    std::io::copy(&mut from, &mut to).map_err(failed)?;
    Ok(to)
}
