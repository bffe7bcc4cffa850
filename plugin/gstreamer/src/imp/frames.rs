//! Inspecting frames, and passing on what was found.

use super::{CAT, Hetmm, lock};
use crate::message::{self, Against, Moment};
use crate::settings::{FrameSettings, Mode, OnError, PostMessages};
use crate::{meta, picture, report};
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use hetmm::{Error, Inspection, Verdict};
use std::time::Instant;

impl Hetmm {
    /// Inspects a frame, if it is to be inspected.
    pub(super) fn frame(
        &self,
        buffer: &mut gst::BufferRef,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let settings = lock(&self.settings).frames;
        let frame = lock(&self.tally).arrive();
        let trigger = lock(&self.waiting).frame();
        if settings.mode == Mode::Triggered && trigger.is_none() {
            lock(&self.tally).skip();
            return Ok(gst::FlowSuccess::Ok);
        }
        let start = Instant::now();
        let result = self.inspect(buffer);
        let moment = self.moment(buffer, frame, trigger);
        match result {
            Ok(found) => {
                lock(&self.tally).inspect(found.verdict, start.elapsed());
                self.tell(buffer, &found, &moment, settings)
            }
            Err(error) => self.reject(buffer, &error, &moment, settings),
        }
    }

    fn inspect(&self, buffer: &gst::BufferRef) -> hetmm::Result<Inspection> {
        let (inspector, info) = (self.running().map(|r| r.inspector), lock(&self.format).clone());
        let (Some(inspector), Some(info)) = (inspector, info) else {
            return Err(Error::usage("a frame came before the stream had caps and a template"));
        };
        picture::with_view(buffer, &info, |view| inspector.inspect(view))
    }

    /// Returns what is known of the frame in `buffer`.
    fn moment(&self, buffer: &gst::BufferRef, frame: u64, trigger: Option<u64>) -> Moment {
        let segment = self.obj().segment();
        let segment = segment.downcast_ref::<gst::ClockTime>();
        let timestamp = buffer.pts();
        Moment {
            frame,
            trigger,
            size: lock(&self.format).as_ref().map_or((0, 0), |info| (info.width(), info.height())),
            timestamp,
            stream_time: segment.and_then(|segment| segment.to_stream_time(timestamp)),
            running_time: segment.and_then(|segment| segment.to_running_time(timestamp)),
            duration: buffer.duration(),
        }
    }

    /// Passes on what was found in a frame.
    fn tell(
        &self,
        buffer: &mut gst::BufferRef,
        found: &Inspection,
        moment: &Moment,
        settings: FrameSettings,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let is_told = match settings.post_messages {
            PostMessages::All => true,
            PostMessages::NotOk => found.verdict != Verdict::Ok,
            PostMessages::None => false,
        };
        if !is_told && !settings.attach_meta {
            return Ok(gst::FlowSuccess::Ok);
        }
        let structure = message::inspected(found, moment);
        if settings.attach_meta {
            let map = settings.attach_map.then_some(found);
            self.attach(buffer, &structure, map)?;
            let verdict = structure.get::<&str>("verdict").unwrap_or("ng");
            meta::attach_regions(buffer, &found.regions, verdict);
        }
        if is_told {
            message::post(&self.obj(), structure);
        }
        Ok(gst::FlowSuccess::Ok)
    }

    /// Rejects a frame that cannot be inspected. It may end the stream.
    fn reject(
        &self,
        buffer: &mut gst::BufferRef,
        error: &Error,
        moment: &Moment,
        settings: FrameSettings,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        lock(&self.tally).fail();
        let structure = message::failed(error, moment, self.against());
        if settings.attach_meta {
            self.attach(buffer, &structure, None)?;
        }
        if settings.post_messages != PostMessages::None {
            message::post(&self.obj(), structure);
        }
        let text = format!("frame {} was not inspected: {}", moment.frame, report::words(error));
        match settings.on_error {
            OnError::Reject => {
                gst::warning!(CAT, imp = self, "{text}");
                Ok(gst::FlowSuccess::Ok)
            }
            OnError::Error => {
                gst::element_imp_error!(self, gst::StreamError::Failed, ("{text}"));
                Err(gst::FlowError::Error)
            }
        }
    }

    fn attach(
        &self,
        buffer: &mut gst::BufferRef,
        structure: &gst::StructureRef,
        map: Option<&Inspection>,
    ) -> Result<(), gst::FlowError> {
        meta::attach(buffer, structure, map).map_err(|error| {
            gst::element_imp_error!(self, gst::CoreError::Failed, ("no meta: {error}"));
            gst::FlowError::Error
        })
    }

    pub(super) fn against(&self) -> Against {
        self.running().map_or_else(Against::default, |running| Against {
            threshold: running.inspector.template().header().calibration.threshold,
            generation: running.inspector.generation(),
        })
    }
}
