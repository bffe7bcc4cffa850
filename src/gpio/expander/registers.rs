//! Reads and writes the registers of a chip, over I2C, SMBus or SPI.
//!
//! `I2cdev` speaks plain I2C. Some adapters speak SMBus only, as on many PCs: there the same registers are reached by
//! SMBus calls. An address that a driver of the kernel holds is refused by the kernel (EBUSY), and never forced.

use embedded_hal::i2c::I2c;
use embedded_hal::spi::{Operation, SpiDevice};
use linux_embedded_hal::i2cdev::core::I2CDevice;
use linux_embedded_hal::i2cdev::linux::LinuxI2CDevice;
use linux_embedded_hal::{I2cdev, SpidevDevice};
use std::fmt::Debug;
use std::path::Path;

/// The error of an adapter that does not speak plain I2C (EOPNOTSUPP).
const NOT_SUPPORTED: i32 = 95;

/// Reads and writes bytes of a chip. `None` as the register means a chip that has only one.
pub(super) trait Registers: Send {
    /// Writes a byte.
    ///
    /// # Errors
    /// Returns what the bus says.
    fn write(&mut self, register: Option<u8>, value: u8) -> Result<(), String>;

    /// Reads a byte.
    ///
    /// # Errors
    /// Returns what the bus says.
    fn read(&mut self, register: Option<u8>) -> Result<u8, String>;
}

/// Holds a chip on a bus that speaks plain I2C.
pub(super) struct OnI2c<I> {
    pub bus: I,
    pub address: u8,
}

impl<I: I2c<Error: Debug> + Send> Registers for OnI2c<I> {
    fn write(&mut self, register: Option<u8>, value: u8) -> Result<(), String> {
        let written = match register {
            Some(register) => self.bus.write(self.address, &[register, value]),
            None => self.bus.write(self.address, &[value]),
        };
        written.map_err(|e| format!("{e:?}"))
    }

    fn read(&mut self, register: Option<u8>) -> Result<u8, String> {
        let mut value = [0];
        let read = match register {
            Some(register) => self.bus.write_read(self.address, &[register], &mut value),
            None => self.bus.read(self.address, &mut value),
        };
        let [value] = read.map(|()| value).map_err(|e| format!("{e:?}"))?;
        Ok(value)
    }
}

/// Holds a chip on an adapter that speaks SMBus only.
pub(super) struct OnSmbus(LinuxI2CDevice);

impl Registers for OnSmbus {
    fn write(&mut self, register: Option<u8>, value: u8) -> Result<(), String> {
        let written = match register {
            Some(register) => self.0.smbus_write_byte_data(register, value),
            None => self.0.smbus_write_byte(value),
        };
        written.map_err(|e| e.to_string())
    }

    fn read(&mut self, register: Option<u8>) -> Result<u8, String> {
        let read = match register {
            Some(register) => self.0.smbus_read_byte_data(register),
            None => self.0.smbus_read_byte(),
        };
        read.map_err(|e| e.to_string())
    }
}

/// Holds an MCP23S17 on SPI. Every transfer begins with a byte that holds the address of the chip.
pub(super) struct OnSpi<S> {
    pub bus: S,
    pub address: u8,
}

impl<S: SpiDevice<Error: Debug> + Send> Registers for OnSpi<S> {
    fn write(&mut self, register: Option<u8>, value: u8) -> Result<(), String> {
        let bytes = [self.address << 1, register.unwrap_or(0), value];
        self.bus.write(&bytes).map_err(|e| format!("{e:?}"))
    }

    fn read(&mut self, register: Option<u8>) -> Result<u8, String> {
        let (ask, mut value) = ([(self.address << 1) | 1, register.unwrap_or(0)], [0]);
        let mut steps = [Operation::Write(&ask), Operation::Read(&mut value)];
        self.bus.transaction(&mut steps).map_err(|e| format!("{e:?}"))?;
        let [value] = value;
        Ok(value)
    }
}

/// Opens a chip on an I2C bus, by SMBus calls if the adapter cannot do anything else.
pub(super) fn on_i2c(path: &Path, address: u8) -> Result<Box<dyn Registers>, String> {
    let bus = I2cdev::new(path).map_err(|e| e.to_string())?;
    let mut chip = OnI2c { bus, address };
    let mut value = [0];
    let tried = chip.bus.read(address, &mut value);
    let smbus_only = tried.as_ref().is_err_and(|e| {
        use linux_embedded_hal::i2cdev::linux::LinuxI2CError;
        match e.inner() {
            LinuxI2CError::Errno(number) => *number == NOT_SUPPORTED,
            LinuxI2CError::Io(error) => error.raw_os_error() == Some(NOT_SUPPORTED),
        }
    });
    if smbus_only {
        let device = LinuxI2CDevice::new(path, u16::from(address)).map_err(|e| e.to_string())?;
        let mut chip = OnSmbus(device);
        // Opening an address does not ask whether a chip is there.
        chip.read(None)?;
        return Ok(Box::new(chip));
    }
    tried.map_err(|e| e.to_string())?;
    Ok(Box::new(chip))
}

/// Opens a chip on an SPI bus.
pub(super) fn on_spi(path: &Path, address: u8) -> Result<Box<dyn Registers>, String> {
    let bus = SpidevDevice::open(path).map_err(|e| e.to_string())?;
    Ok(Box::new(OnSpi { bus, address }))
}
