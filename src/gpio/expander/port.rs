//! Drives the pins of an expander chip by its registers, and reads them back.
//!
//! The levels are written before the pins become outputs, so that no pin has a wrong level for a moment. Sources: the
//! data sheets of MCP23017/MCP23S17 (Microchip DS20001952) and PCF8574 (NXP, revision 5). The crate `port-expander` was
//! looked at: it makes a pin an output before it gives the pin a level, and it cannot read an output of an MCP23x17.

use super::registers::Registers;
use serde::{Deserialize, Serialize};

/// Names the chip of an expander.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ExpanderKind {
    /// Microchip's chip with 16 pins on I2C.
    Mcp23017,
    /// The same on SPI.
    Mcp23s17,
    /// NXP's or TI's chip with 8 pins on I2C. A pin that is high is only pulled up weakly.
    Pcf8574,
}

impl ExpanderKind {
    /// Returns the number of pins. They are numbered from 0; with 16 of them, 8 is the first of port B.
    pub const fn pins(self) -> u32 {
        match self {
            ExpanderKind::Mcp23017 | ExpanderKind::Mcp23s17 => 16,
            ExpanderKind::Pcf8574 => 8,
        }
    }

    /// Returns the addresses that the chip can have.
    pub const fn addresses(self) -> &'static [std::ops::RangeInclusive<u8>] {
        match self {
            ExpanderKind::Mcp23017 | ExpanderKind::Mcp23s17 => &[0x20..=0x27],
            // The second range is that of PCF8574A.
            ExpanderKind::Pcf8574 => &[0x20..=0x27, 0x38..=0x3f],
        }
    }

    /// Returns whether the chip is on an SPI bus.
    pub const fn is_on_spi(self) -> bool {
        matches!(self, ExpanderKind::Mcp23s17)
    }
}

/// The registers of MCP23x17 for port A. Those of port B follow each.
const IODIR: u8 = 0x00;
const IPOL: u8 = 0x02;
const IOCON: u8 = 0x0a;
const GPIO: u8 = 0x12;
const OLAT: u8 = 0x14;
/// The bit of IOCON that makes an MCP23S17 look at its address.
const HAEN: u8 = 0x08;

/// Holds an expander chip. Only the pins of its mask are touched.
pub(super) struct Port {
    kind: ExpanderKind,
    registers: Box<dyn Registers>,
    outputs: u16,
    levels: u16,
}

impl Port {
    /// Gives the pins of `outputs` their levels and makes them outputs.
    ///
    /// # Errors
    /// Returns what the bus says, or that a pin does not take its level.
    pub fn begin(
        kind: ExpanderKind,
        registers: Box<dyn Registers>,
        outputs: u16,
        levels: u16,
    ) -> Result<Self, String> {
        let mut port = Port { kind, registers, outputs, levels };
        match kind {
            ExpanderKind::Pcf8574 => {
                // Pins that are not outputs are high, as after power on.
                let (others, set) = port.bytes(0);
                port.registers.write(None, set | others)?;
            }
            ExpanderKind::Mcp23017 | ExpanderKind::Mcp23s17 => {
                if kind == ExpanderKind::Mcp23s17 {
                    port.registers.write(Some(IOCON), HAEN)?;
                }
                for bank in port.banks() {
                    let (keep, set) = port.bytes(bank);
                    let latch = port.registers.read(Some(OLAT + bank))?;
                    port.registers.write(Some(GPIO + bank), (latch & keep) | set)?;
                    for register in [IPOL, IODIR] {
                        let value = port.registers.read(Some(register + bank))?;
                        port.registers.write(Some(register + bank), value & keep)?;
                    }
                }
            }
        }
        port.check()?;
        Ok(port)
    }

    /// Gives a pin a level, and reads it back.
    ///
    /// # Errors
    /// Returns what the bus says, or that a pin does not take its level.
    pub fn set(&mut self, pin: u8, high: bool) -> Result<(), String> {
        let bit = 1u16.checked_shl(u32::from(pin)).unwrap_or(0) & self.outputs;
        let levels = if high { self.levels | bit } else { self.levels & !bit };
        self.set_all(levels)
    }

    /// Gives all outputs their levels, and reads them back.
    ///
    /// # Errors
    /// Returns what the bus says, or that a pin does not take its level.
    pub fn set_all(&mut self, levels: u16) -> Result<(), String> {
        self.levels = levels;
        match self.kind {
            ExpanderKind::Pcf8574 => {
                let (keep, set) = self.bytes(0);
                self.registers.write(None, set | keep)?;
            }
            ExpanderKind::Mcp23017 | ExpanderKind::Mcp23s17 => {
                for bank in self.banks() {
                    let (keep, set) = self.bytes(bank);
                    let latch = self.registers.read(Some(OLAT + bank))?;
                    self.registers.write(Some(GPIO + bank), (latch & keep) | set)?;
                }
            }
        }
        self.check()
    }

    /// Reads the outputs back.
    fn check(&mut self) -> Result<(), String> {
        let mut there = 0;
        for bank in self.banks() {
            let register = (self.kind != ExpanderKind::Pcf8574).then_some(GPIO + bank);
            there |= u16::from(self.registers.read(register)?) << (8 * bank);
        }
        let wrong = (there ^ self.levels) & self.outputs;
        match wrong {
            0 => Ok(()),
            _ => Err(format!("pin {} does not take its level", wrong.trailing_zeros())),
        }
    }

    /// Returns the banks of eight pins that have outputs.
    fn banks(&self) -> impl Iterator<Item = u8> + use<> {
        let outputs = self.outputs;
        [0, 1].into_iter().filter(move |bank| (outputs >> (8 * bank)) & 0xff != 0)
    }

    /// Returns the pins of a bank that are not outputs, and the outputs that are high.
    fn bytes(&self, bank: u8) -> (u8, u8) {
        let byte = |pins: u16| ((pins >> (8 * bank)) & 0xff) as u8;
        (!byte(self.outputs), byte(self.levels & self.outputs))
    }
}

#[cfg(test)]
mod tests {
    use super::super::registers::OnI2c;
    use super::*;
    use embedded_hal_mock::eh1::i2c::{Mock, Transaction};

    /// Plays the transactions of the data sheet, and lets the chip do what `work` says.
    fn on_i2c(
        kind: ExpanderKind,
        expected: &[Transaction],
        work: impl FnOnce(Box<dyn Registers>) -> Result<Port, String>,
    ) -> Result<(), String> {
        let mut bus = Mock::new(expected);
        let address = if kind == ExpanderKind::Pcf8574 { 0x21 } else { 0x20 };
        let done = work(Box::new(OnI2c { bus: bus.clone(), address }));
        bus.done();
        done.map(drop)
    }

    fn wrote(address: u8, bytes: &[u8]) -> Transaction {
        Transaction::write(address, bytes.to_vec())
    }

    #[test]
    fn a_pcf8574_is_written_as_a_whole_and_read_back() {
        let kind = ExpanderKind::Pcf8574;
        let expected = [
            // Outputs are pins 1 and 2. Pin 2 begins high, and all others stay high.
            wrote(0x21, &[0b1111_1101]),
            Transaction::read(0x21, vec![0b0111_1101]),
            wrote(0x21, &[0b1111_1111]),
            Transaction::read(0x21, vec![0b1111_1111]),
            wrote(0x21, &[0b1111_1011]),
            Transaction::read(0x21, vec![0b1111_1011]),
        ];
        let done = on_i2c(kind, &expected, |registers| {
            let mut port = Port::begin(kind, registers, 0b110, 0b100)?;
            port.set(1, true)?;
            port.set(2, false)?;
            Ok(port)
        });
        assert_eq!(done, Ok(()));
    }

    #[test]
    fn a_pin_that_does_not_take_its_level_is_named() {
        let kind = ExpanderKind::Pcf8574;
        let expected = [wrote(0x21, &[0xff]), Transaction::read(0x21, vec![0b1111_1011])];
        let done = on_i2c(kind, &expected, |registers| Port::begin(kind, registers, 0b110, 0b110));
        assert_eq!(done, Err("pin 2 does not take its level".into()));
    }

    #[test]
    fn an_mcp23017_has_its_levels_before_its_directions() {
        let kind = ExpanderKind::Mcp23017;
        let read =
            |register: u8, value: u8| Transaction::write_read(0x20, vec![register], vec![value]);
        let expected = [
            // Outputs are pin 8 and pin 9 of port B. Pin 9 begins high, and the latch of pin 15 stays.
            read(0x15, 0b1000_0001),
            wrote(0x20, &[0x13, 0b1000_0010]),
            read(0x03, 0xff),
            wrote(0x20, &[0x03, 0b1111_1100]),
            read(0x01, 0xff),
            wrote(0x20, &[0x01, 0b1111_1100]),
            read(0x13, 0b0000_0010),
            read(0x15, 0b1000_0010),
            wrote(0x20, &[0x13, 0b1000_0011]),
            read(0x13, 0b0000_0011),
        ];
        let done = on_i2c(kind, &expected, |registers| {
            let mut port = Port::begin(kind, registers, 0x0300, 0x0200)?;
            port.set(8, true)?;
            Ok(port)
        });
        assert_eq!(done, Ok(()));
    }
}
