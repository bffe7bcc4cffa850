//! Answers Modbus clients.

use super::control::{Control, Outcome, Refusal, Wish};
use super::map::{DISCRETE_INPUTS, MIRROR, REGISTERS, View};
use super::results::Results;
use super::stream::{Cut, Guarded};
use crate::board::{Board, Event};
use crate::device::{Device, Said};
use crate::place::Place;
use hetmm::error::{Error, Kind, Result};
use hetmm::line::config::{LineConfig, ModbusConfig, WordOrder};
use std::future::{Ready, ready};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast::error::RecvError;
use tokio_modbus::prelude::*;
use tokio_modbus::server::Service;
use tokio_modbus::server::tcp::Server;

/// The most requests of a connection in one second.
const MOST_A_SECOND: u32 = 1000;
/// The largest number of registers in one request, and of coils.
const MOST_REGISTERS: u16 = 125;
const MOST_COILS: u16 = 2000;
/// The pause after the listener has failed.
const PAUSE: Duration = Duration::from_secs(1);
/// The name that the PLC has in the journal.
const PLC: &str = "PLC";

type Answer = std::result::Result<Response, ExceptionCode>;

/// Holds what all connections share.
struct Shared {
    config: ModbusConfig,
    name: String,
    board: Arc<Board>,
    device: Device,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    results: Results,
    control: Control,
}

/// Starts to listen, if the configuration wants that. Clients are answered until the program ends.
///
/// # Errors
/// [`Kind::Io`] if the address cannot be listened on.
pub async fn serve(config: &LineConfig, board: Arc<Board>, device: Device) -> Result<()> {
    let Some(listen) = config.modbus.listen else { return Ok(()) };
    let listener = TcpListener::bind(listen).await.map_err(|why| {
        Error::new(Kind::Io, format!("modbus.listen: {listen} cannot be listened on: {why}"))
            .advise("is another program there, and may this user use the port?")
    })?;
    log::info!("Modbus: listening on {listen}");
    let shared = Arc::new(Shared {
        config: config.modbus.clone(),
        name: config.device.name.clone(),
        board: board.clone(),
        device,
        state: Mutex::default(),
    });
    tokio::spawn(follow(shared.clone(), board));
    tokio::spawn(listen_for_clients(Server::new(listener), shared));
    Ok(())
}

async fn listen_for_clients(server: Server, shared: Arc<Shared>) {
    let taken = shared.board.connections.modbus.clone();
    let connected = |stream, from| {
        let admitted = admit(&shared, &taken, stream, from);
        async move { Ok(admitted) }
    };
    loop {
        let ended = server.serve(&connected, |why| log::debug!("Modbus: a connection ends: {why}"));
        // It ends with the first connection that cannot be accepted, for example without file descriptors.
        if let Err(why) = ended.await {
            log::warn!("Modbus: {why}");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Passes parts on to the result registers.
async fn follow(shared: Arc<Shared>, board: Arc<Board>) {
    let mut events = board.subscribe();
    loop {
        match events.recv().await {
            Ok(Event::Part(part)) => shared.state().results.add(part),
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => shared.state().results.lose(),
            Err(RecvError::Closed) => return,
        }
    }
}

/// Returns the service of a connection, if there is a place for it and its address may connect.
fn admit(
    shared: &Arc<Shared>,
    taken: &Arc<AtomicUsize>,
    stream: TcpStream,
    from: SocketAddr,
) -> Option<(Connection, Guarded)> {
    let (config, from) = (&shared.config, from.ip().to_canonical());
    if !config.allow.is_empty() && !config.allow.contains(&from) {
        log::warn!("Modbus: {from} is not in modbus.allow");
        return None;
    }
    let Some(place) = Place::take(taken, config.max_connections) else {
        log::warn!(
            "Modbus: {from} is turned away: all {} places are taken",
            config.max_connections
        );
        return None;
    };
    // Answers are small. Without this they would wait for the acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    let cut = Cut::default();
    let guarded = Guarded::new(stream, Duration::from_secs(config.idle_s), cut.clone(), place);
    let rate = Mutex::new((Instant::now(), 0));
    Some((Connection { shared: shared.clone(), from, cut, rate }, guarded))
}

/// Answers one connection.
struct Connection {
    shared: Arc<Shared>,
    from: IpAddr,
    cut: Cut,
    /// The beginning of the present second, and the number of requests in it.
    rate: Mutex<(Instant, u32)>,
}

impl Service for Connection {
    type Request = Request<'static>;
    type Response = Response;
    type Exception = ExceptionCode;
    type Future = Ready<Answer>;

    fn call(&self, request: Self::Request) -> Self::Future {
        self.count();
        ready(self.answer(request))
    }
}

impl Connection {
    /// Counts a request, and ends the connection if there are too many.
    fn count(&self) {
        let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if now.saturating_duration_since(rate.0) >= Duration::from_secs(1) {
            *rate = (now, 0);
        }
        rate.1 += 1;
        if rate.1 == MOST_A_SECOND {
            log::warn!("Modbus: {} asks more than {MOST_A_SECOND} times a second", self.from);
            self.cut.cut();
        }
    }

    fn answer(&self, request: Request<'static>) -> Answer {
        match request {
            Request::ReadCoils(at, count) => {
                let coils = self.shared.state().control.coils();
                let coils: [bool; 16] = std::array::from_fn(|bit| coils & (1 << bit) != 0);
                cut_out(&coils, at, count, MOST_COILS).map(Response::ReadCoils)
            }
            Request::ReadDiscreteInputs(at, count) => {
                let inputs: [bool; DISCRETE_INPUTS as usize] =
                    self.shared.view(|view| view.discrete_inputs());
                cut_out(&inputs, at, count, MOST_COILS).map(Response::ReadDiscreteInputs)
            }
            Request::ReadInputRegisters(at, count) => {
                let registers = self.shared.view(|view| view.registers());
                cut_out(&registers, at, count, MOST_REGISTERS).map(Response::ReadInputRegisters)
            }
            Request::ReadHoldingRegisters(at, count) => {
                self.shared.holding(at, count).map(Response::ReadHoldingRegisters)
            }
            Request::WriteSingleCoil(at, value) => {
                self.write_coils(at, &[value]).map(|()| Response::WriteSingleCoil(at, value))
            }
            Request::WriteMultipleCoils(at, values) => {
                self.write_coils(at, &values)?;
                Ok(Response::WriteMultipleCoils(at, values.len() as u16))
            }
            Request::WriteSingleRegister(at, value) => self
                .write_registers(at, &[value])
                .map(|()| Response::WriteSingleRegister(at, value)),
            Request::WriteMultipleRegisters(at, values) => {
                self.write_registers(at, &values)?;
                Ok(Response::WriteMultipleRegisters(at, values.len() as u16))
            }
            Request::ReadDeviceIdentification(code, object) => self.shared.identify(code, object),
            _ => Err(ExceptionCode::IllegalFunction),
        }
    }

    fn write_coils(&self, at: u16, values: &[bool]) -> std::result::Result<(), ExceptionCode> {
        self.write(|control, now| {
            let end = usize::from(at).saturating_add(values.len());
            if values.is_empty() || end > 16 {
                return Err(Refusal::Address);
            }
            let set = |all: u16, (bit, is_set): (usize, bool)| all | (u16::from(is_set) << bit);
            let places = usize::from(at)..end;
            let mask = places.clone().map(|bit| (bit, true)).fold(0, set);
            let values = places.zip(values.iter().copied()).fold(0, set);
            control.set_coils(values, mask, now)
        })
    }

    fn write_registers(&self, at: u16, values: &[u16]) -> std::result::Result<(), ExceptionCode> {
        let high_first = self.shared.config.word_order == WordOrder::HighFirst;
        self.write(|control, now| {
            if values.is_empty() || usize::from(at).saturating_add(values.len()) > 4 {
                return Err(Refusal::Address);
            }
            // The coils come last: a command that they begin finds its number and its argument.
            let places = values.iter().copied().enumerate().rev();
            let mut wishes = vec![];
            for (offset, value) in places {
                let address = at.saturating_add(u16::try_from(offset).unwrap_or(u16::MAX));
                wishes.extend(control.set_register(address, value, high_first, now)?);
            }
            Ok(wishes)
        })
    }

    /// Lets this client write, and carries out what that asks for.
    fn write(
        &self,
        change: impl FnOnce(&mut Control, Instant) -> std::result::Result<Vec<Wish>, Refusal>,
    ) -> std::result::Result<(), ExceptionCode> {
        let (shared, now) = (&self.shared, Instant::now());
        if !shared.config.write || !shared.config.writers.contains(&self.from) {
            return Err(ExceptionCode::IllegalFunction);
        }
        if !shared.board.now().is_alive(now) {
            return Err(ExceptionCode::ServerDeviceBusy);
        }
        let mut state = shared.state();
        let wishes =
            state.control.own(self.from, now).and_then(|()| change(&mut state.control, now));
        let wishes = wishes.map_err(|refusal| match refusal {
            Refusal::Address => ExceptionCode::IllegalDataAddress,
            Refusal::Value => ExceptionCode::IllegalDataValue,
            Refusal::Busy => ExceptionCode::ServerDeviceBusy,
        })?;
        for wish in wishes {
            match wish {
                Wish::ResultAck => state.results.acknowledge(),
                Wish::Buffer(on) => state.results.buffer(on),
                Wish::Trigger => shared.ask("trigger"),
                Wish::Acknowledge => shared.ask("acknowledge"),
                Wish::Execute(command, argument) => shared.execute(command, argument),
            }
        }
        Ok(())
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at everything at one moment.
    fn view<T>(&self, look: impl FnOnce(&View<'_>) -> T) -> T {
        let (now, state) = (self.board.now(), self.state());
        look(&View {
            now: &now,
            results: &state.results,
            control: &state.control,
            device: &self.name,
            order: self.config.word_order,
            clock: self.board.clock.is_synchronized(),
            plc_alive: Duration::from_millis(self.config.plc_alive_ms),
            at: Instant::now(),
        })
    }

    /// Reads holding registers: the four that can be written, and the input registers from [`MIRROR`].
    fn holding(&self, at: u16, count: u16) -> std::result::Result<Vec<u16>, ExceptionCode> {
        if let Some(at) = at.checked_sub(MIRROR) {
            let registers = self.view(|view| view.registers());
            return cut_out(&registers, at, count, MOST_REGISTERS);
        }
        let high_first = self.config.word_order == WordOrder::HighFirst;
        let control = &self.state().control;
        let registers: Vec<u16> =
            (0..REGISTERS).map(|address| control.register(address, high_first)).collect();
        cut_out(&registers, at, count, MOST_REGISTERS)
    }

    fn identify(&self, code: ReadCode, first: u8) -> Answer {
        let objects = [
            (0, "hetmm".to_owned()),
            (1, "hetmm-edge".to_owned()),
            (2, env!("CARGO_PKG_VERSION").to_owned()),
            (4, "visual inspection".to_owned()),
            (5, self.name.clone()),
        ];
        let device_id_objects = |ids: std::ops::RangeInclusive<u8>| -> Vec<DeviceIdObject> {
            let wanted = objects.iter().filter(|(id, _)| ids.contains(id));
            wanted
                .map(|(id, value)| DeviceIdObject {
                    id: *id,
                    value: value.clone().into_bytes().into(),
                })
                .collect()
        };
        let objects = match code {
            ReadCode::Basic => device_id_objects(first..=2),
            ReadCode::Regular | ReadCode::Extended => device_id_objects(first..=5),
            ReadCode::Specific => device_id_objects(first..=first),
        };
        if objects.is_empty() {
            return Err(ExceptionCode::IllegalDataAddress);
        }
        Ok(Response::ReadDeviceIdentification(ReadDeviceIdentificationResponse {
            read_code: code,
            conformity_level: ConformityLevel::RegularIdentification,
            more_follows: false,
            next_object_id: 0,
            device_id_objects: objects,
        }))
    }

    /// Asks the device for something whose answer nobody waits for.
    fn ask(self: &Arc<Self>, request: &'static str) {
        let shared = self.clone();
        tokio::spawn(async move {
            if let Said::Refused(why) | Said::Silent(why) = shared.device.ask(PLC, request).await {
                log::warn!("Modbus: {request} is refused: {why}");
            }
        });
    }

    /// Carries out a command, and notes what it came to.
    fn execute(self: &Arc<Self>, command: u16, argument: u32) {
        let shared = self.clone();
        tokio::spawn(async move {
            let (outcome, detail) = match request_of(command, argument) {
                None => (Outcome::Unknown, 0),
                Some(request) if !shared.device.may(&request) => (Outcome::NotAllowed, 0),
                Some(request) => match shared.device.ask(PLC, &request).await {
                    Said::Done(answer) => {
                        let entry = answer.get("entry").and_then(serde_json::Value::as_u64);
                        (Outcome::Done, entry.and_then(|e| u32::try_from(e).ok()).unwrap_or(0))
                    }
                    Said::Refused(why) => {
                        log::warn!("Modbus: {request} is refused: {why}");
                        (Outcome::Refused, 0)
                    }
                    Said::Silent(why) => {
                        log::warn!("Modbus: {request}: {why}");
                        (Outcome::Failed, 0)
                    }
                },
            };
            shared.state().control.completed(outcome, detail);
        });
    }
}

/// Returns the request for a command. There is none that ends the safe state.
fn request_of(command: u16, argument: u32) -> Option<String> {
    Some(match (command, argument) {
        (1, slot) => format!("select {slot}"),
        (2, part) => format!("teach {part}"),
        (3, 0) => "undo".into(),
        (3, entry) => format!("undo {entry}"),
        (4, _) => "acknowledge".into(),
        (5, _) => "safe".into(),
        (6, _) => "reload".into(),
        _ => return None,
    })
}

/// Returns a part of a table.
fn cut_out<T: Copy>(
    table: &[T],
    at: u16,
    count: u16,
    most: u16,
) -> std::result::Result<Vec<T>, ExceptionCode> {
    if !(1..=most).contains(&count) {
        return Err(ExceptionCode::IllegalDataValue);
    }
    let range = usize::from(at)..usize::from(at) + usize::from(count);
    table.get(range).map(<[T]>::to_vec).ok_or(ExceptionCode::IllegalDataAddress)
}
