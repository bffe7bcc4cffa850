//! Holds what Modbus clients have written: coils, command, and who owns them.

use std::net::IpAddr;
use std::time::{Duration, Instant};

/// The time after which a silent writer no longer owns the coils.
const OWNED: Duration = Duration::from_secs(5);

/// The coils, by their numbers.
pub mod coil {
    /// Make a part now. Only with the software trigger.
    pub const TRIGGER: u16 = 0;
    /// The result was read.
    pub const RESULT_ACK: u16 = 1;
    /// Show every part until it is acknowledged.
    pub const BUFFER: u16 = 2;
    /// Carry out the command.
    pub const EXECUTE: u16 = 3;
    /// Acknowledge the alarm.
    pub const ACKNOWLEDGE: u16 = 4;
    /// The PLC lives. It toggles this coil.
    pub const ALIVE: u16 = 15;
}

/// The coils that mean something.
const KNOWN: u16 = 0b1000_0000_0001_1111;

/// Names what a command came to, by the number in its register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u16)]
pub enum Outcome {
    /// There was no command, or it is being carried out.
    #[default]
    None = 0,
    /// It was done.
    Done = 1,
    /// The device refused it.
    Refused = 2,
    /// The device did not answer.
    Failed = 3,
    /// There is no such command.
    Unknown = 4,
    /// The configuration does not allow it.
    NotAllowed = 5,
    /// Another command is being carried out.
    Busy = 6,
}

/// Says why a write is refused, as the exception of Modbus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There is nothing at this address. Exception 2.
    Address,
    /// The value has no meaning. Exception 3.
    Value,
    /// Another writer is at work, or the device does not answer. Exception 6.
    Busy,
}

/// Says what a write asks for, beside what it changes here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Make a part.
    Trigger,
    /// The result was read.
    ResultAck,
    /// Switch buffering of results.
    Buffer(bool),
    /// Carry out a command with its argument.
    Execute(u16, u32),
    /// Acknowledge the alarm.
    Acknowledge,
}

/// Holds what clients have written.
#[derive(Debug, Default)]
pub struct Control {
    coils: u16,
    command: u16,
    argument: u32,
    /// The number and the outcome of the last command, and a detail such as the number of the journal's entry.
    last: (u16, Outcome, u32),
    executes: bool,
    owner: Option<(IpAddr, Instant)>,
    /// The moment at which the PLC toggled its sign of life.
    alive_at: Option<Instant>,
}

impl Control {
    /// Takes the coils for a writer. Of several, the first one owns them until it has been silent for five seconds.
    ///
    /// # Errors
    /// [`Refusal::Busy`] if another writer owns them.
    pub fn own(&mut self, writer: IpAddr, now: Instant) -> Result<(), Refusal> {
        let is_free = self.owner.is_none_or(|(owner, at)| {
            owner == writer || now.saturating_duration_since(at) >= OWNED
        });
        if !is_free {
            return Err(Refusal::Busy);
        }
        self.owner = Some((writer, now));
        Ok(())
    }

    /// Returns the coils, 0 in the lowest bit.
    pub fn coils(&self) -> u16 {
        self.coils
    }

    /// Returns one of the registers that can be written.
    pub fn register(&self, address: u16, high_first: bool) -> u16 {
        let (high, low) = ((self.argument >> 16) as u16, self.argument as u16);
        match address {
            0 => self.coils,
            1 => self.command,
            2 => {
                if high_first {
                    high
                } else {
                    low
                }
            }
            3 => {
                if high_first {
                    low
                } else {
                    high
                }
            }
            _ => 0,
        }
    }

    /// Writes one register. Registers that are no control registers cannot be written.
    ///
    /// # Errors
    /// [`Refusal::Address`], or what [`Control::set_coils`] returns.
    pub fn set_register(
        &mut self,
        address: u16,
        value: u16,
        high_first: bool,
        now: Instant,
    ) -> Result<Vec<Wish>, Refusal> {
        let value32 = u32::from(value);
        match (address, high_first) {
            (0, _) => return self.set_coils(value, u16::MAX, now),
            (1, _) => self.command = value,
            (2, true) | (3, false) => self.argument = (self.argument & 0xffff) | (value32 << 16),
            (2, false) | (3, true) => self.argument = (self.argument & 0xffff_0000) | value32,
            _ => return Err(Refusal::Address),
        }
        Ok(vec![])
    }

    /// Writes the coils that `mask` names. Returns what they ask for: a coil asks when it rises.
    ///
    /// # Errors
    /// [`Refusal::Value`] if a coil is set that means nothing.
    pub fn set_coils(
        &mut self,
        values: u16,
        mask: u16,
        now: Instant,
    ) -> Result<Vec<Wish>, Refusal> {
        let coils = (self.coils & !mask) | (values & mask);
        if coils & !KNOWN != 0 {
            return Err(Refusal::Value);
        }
        let was = self.coils;
        self.coils = coils;
        let (rises, falls) = (coils & !was, was & !coils);
        let is = |set: u16, coil: u16| set & (1 << coil) != 0;
        if is(rises | falls, coil::ALIVE) {
            self.alive_at = Some(now);
        }
        if is(falls, coil::EXECUTE) && !self.executes {
            self.last = (0, Outcome::None, 0);
        }
        let mut wishes = vec![];
        if is(rises | falls, coil::BUFFER) {
            wishes.push(Wish::Buffer(is(rises, coil::BUFFER)));
        }
        for (coil, wish) in [
            (coil::TRIGGER, Wish::Trigger),
            (coil::RESULT_ACK, Wish::ResultAck),
            (coil::ACKNOWLEDGE, Wish::Acknowledge),
        ] {
            if is(rises, coil) {
                wishes.push(wish);
            }
        }
        if is(rises, coil::EXECUTE) {
            if self.executes {
                self.last = (self.command, Outcome::Busy, 0);
            } else {
                (self.executes, self.last) = (true, (self.command, Outcome::None, 0));
                wishes.push(Wish::Execute(self.command, self.argument));
            }
        }
        Ok(wishes)
    }

    /// Notes what the running command came to.
    pub fn completed(&mut self, outcome: Outcome, detail: u32) {
        self.executes = false;
        (self.last.1, self.last.2) = (outcome, detail);
    }

    /// Returns whether a command is being carried out.
    pub fn is_executing(&self) -> bool {
        self.executes
    }

    /// Returns the number of the last command, its outcome, and its detail.
    pub fn last(&self) -> (u16, Outcome, u32) {
        self.last
    }

    /// Returns whether the PLC should have toggled its sign of life by now.
    pub fn is_plc_silent(&self, limit: Duration, now: Instant) -> bool {
        !limit.is_zero()
            && self.alive_at.is_some_and(|at| now.saturating_duration_since(at) > limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coil_asks_once_when_it_rises() {
        let (mut control, now) = (Control::default(), Instant::now());
        let set = |control: &mut Control, values| control.set_coils(values, u16::MAX, now);
        assert_eq!(
            set(&mut control, 0b10011),
            Ok(vec![Wish::Trigger, Wish::ResultAck, Wish::Acknowledge])
        );
        assert_eq!(set(&mut control, 0b10011), Ok(vec![]));
        assert_eq!(set(&mut control, 0b00100), Ok(vec![Wish::Buffer(true)]));
        assert_eq!(control.set_coils(0, 0b1, now), Ok(vec![]), "only what the mask names");
        assert_eq!(control.coils(), 0b100);
        assert_eq!(set(&mut control, 0), Ok(vec![Wish::Buffer(false)]));
        for reserved in 5..15 {
            assert_eq!(set(&mut control, 1 << reserved), Err(Refusal::Value), "{reserved}");
        }
        assert_eq!(control.coils(), 0, "a refused write changes nothing");
    }

    #[test]
    fn a_command_is_carried_out_once_and_cleared_by_the_falling_coil() {
        let (mut control, now) = (Control::default(), Instant::now());
        for (high_first, registers) in [(true, [1, 2]), (false, [2, 1])] {
            control.set_register(1, 2, high_first, now).expect("writes");
            for (address, value) in [2, 3].into_iter().zip(registers) {
                control.set_register(address, value, high_first, now).expect("writes");
            }
            let wishes = control.set_coils(8, 8, now).expect("writes");
            assert_eq!(wishes, [Wish::Execute(2, 0x0001_0002)]);
            control.set_coils(0, 8, now).expect("writes");
            assert_eq!(control.set_coils(8, 8, now), Ok(vec![]), "it still runs");
            assert_eq!(control.last().1, Outcome::Busy);
            control.completed(Outcome::Done, 5);
            assert_eq!(control.last(), (2, Outcome::Done, 5));
            control.set_coils(0, 8, now).expect("writes");
            assert_eq!(control.last(), (0, Outcome::None, 0));
        }
        assert_eq!(control.set_register(4, 1, true, now), Err(Refusal::Address));
    }

    #[test]
    fn the_first_writer_owns_the_coils_until_it_is_silent() {
        let (mut control, start) = (Control::default(), Instant::now());
        let [first, second] = ["10.0.0.1", "10.0.0.2"].map(|ip| ip.parse().expect("an address"));
        assert_eq!(control.own(first, start), Ok(()));
        assert_eq!(control.own(second, start + Duration::from_secs(4)), Err(Refusal::Busy));
        assert_eq!(control.own(first, start + Duration::from_secs(4)), Ok(()));
        assert_eq!(control.own(second, start + Duration::from_secs(8)), Err(Refusal::Busy));
        assert_eq!(control.own(second, start + Duration::from_secs(9)), Ok(()));
    }

    #[test]
    fn a_plc_that_has_stopped_toggling_is_noticed() {
        let (mut control, start) = (Control::default(), Instant::now());
        let (limit, later) = (Duration::from_millis(500), start + Duration::from_secs(1));
        assert!(!control.is_plc_silent(limit, later), "it has never said that it lives");
        control.set_coils(1 << 15, u16::MAX, start).expect("writes");
        assert!(control.is_plc_silent(limit, later));
        control.set_coils(0, u16::MAX, later).expect("writes");
        assert!(!control.is_plc_silent(limit, later));
        assert!(!control.is_plc_silent(Duration::ZERO, later + limit + limit));
    }
}
