//! The triggers that wait for a frame.
//!
//! A trigger belongs to the next frame. If another trigger comes before that frame, nobody knows which of the two parts
//! the frame will show. Then both parts are rejected, and the frame belongs to neither.

/// Why a trigger has no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// Another trigger came before the frame did.
    Crowded,
    /// The stream ended, was flushed or stopped, or does not run yet.
    NoStream,
}

impl Lost {
    /// Returns the reason in words.
    pub fn words(self) -> &'static str {
        match self {
            Lost::Crowded => {
                "two triggers came before a frame did, and nobody knows which part the next frame shows"
            }
            Lost::NoStream => "no frame came for this trigger, because the stream does not run",
        }
    }
}

/// The trigger that waits for a frame.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Waiting {
    /// No frames come, so no trigger may wait.
    #[default]
    Closed,
    /// No trigger waits.
    Nothing,
    /// This trigger gets the next frame.
    For(u64),
    /// More than one trigger came. The next frame belongs to none of them.
    Crowd,
}

impl Waiting {
    /// Takes a trigger. Returns the triggers that are lost by that, the earliest first.
    pub fn ask(&mut self, id: u64) -> Vec<(u64, Lost)> {
        match *self {
            Waiting::Closed => vec![(id, Lost::NoStream)],
            Waiting::Nothing => {
                *self = Waiting::For(id);
                vec![]
            }
            Waiting::For(earlier) => {
                *self = Waiting::Crowd;
                vec![(earlier, Lost::Crowded), (id, Lost::Crowded)]
            }
            Waiting::Crowd => vec![(id, Lost::Crowded)],
        }
    }

    /// Gives the trigger to which the frame that has come belongs.
    pub fn frame(&mut self) -> Option<u64> {
        match *self {
            Waiting::Closed => None,
            Waiting::For(id) => {
                *self = Waiting::Nothing;
                Some(id)
            }
            Waiting::Nothing | Waiting::Crowd => {
                *self = Waiting::Nothing;
                None
            }
        }
    }

    /// Says that frames come from now on.
    pub fn open(&mut self) {
        if *self == Waiting::Closed {
            *self = Waiting::Nothing;
        }
    }

    /// Says that no more frames come. Returns the trigger that is lost by that.
    pub fn close(&mut self) -> Option<(u64, Lost)> {
        match std::mem::take(self) {
            Waiting::For(id) => Some((id, Lost::NoStream)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trigger_gets_one_frame() {
        let mut waiting = Waiting::Closed;
        waiting.open();
        assert_eq!(waiting.frame(), None);
        assert_eq!(waiting.ask(7), []);
        assert_eq!(waiting.frame(), Some(7));
        assert_eq!(waiting.frame(), None);
    }

    #[test]
    fn triggers_that_crowd_are_all_lost_and_the_next_frame_is_nobodys() {
        let mut waiting = Waiting::Nothing;
        assert_eq!(waiting.ask(1), []);
        assert_eq!(waiting.ask(2), [(1, Lost::Crowded), (2, Lost::Crowded)]);
        assert_eq!(waiting.ask(3), [(3, Lost::Crowded)]);
        assert_eq!(waiting.frame(), None);
        assert_eq!(waiting.ask(4), []);
        assert_eq!(waiting.frame(), Some(4));
    }

    #[test]
    fn without_a_stream_no_trigger_waits() {
        let mut waiting = Waiting::default();
        assert_eq!(waiting.ask(1), [(1, Lost::NoStream)]);
        assert_eq!(waiting.close(), None);
        waiting.open();
        assert_eq!(waiting.ask(2), []);
        assert_eq!(waiting.close(), Some((2, Lost::NoStream)));
        assert_eq!(waiting.frame(), None);
    }
}
