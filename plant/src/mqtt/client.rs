//! Speaks with the broker, and connects again whenever it is gone.

use super::messages::{Message, Topics};
use super::queue::Queue;
use crate::board::{Board, Event};
use crate::device::{Device, Said};
use crate::part::Outcome;
use hetmm::error::{Error, Kind, Result};
use hetmm::line::config::{LineConfig, MqttConfig, PublishedParts};
use rumqttc::{
    AsyncClient, EventLoop, Incoming, IncomingPacketSizeLimit, LastWill, MqttOptions, Publish,
    PublishOptions, PublishProperties, QoS, TlsConfiguration, Transport,
};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc::{Receiver as PacketReceiver, Sender as PacketSender, channel};
use tokio::time::{Instant, sleep};

/// The number of messages that the client takes before the broker has them.
const IN_FLIGHT: u16 = 16;
/// The largest packet that is accepted from the broker, in bytes.
const LARGEST: u32 = 8192;
/// The time after which a message that nobody has fetched is worth nothing, in seconds.
const EXPIRY_S: u32 = 3600;
/// The longest pause between two tries to connect, in seconds.
const LONGEST_PAUSE_S: u64 = 60;
/// The time between two messages about a state that has not changed.
const STATUS_EVERY: Duration = Duration::from_secs(60);
/// The time between two anchors of the evidence.
const ANCHOR_EVERY: Duration = Duration::from_secs(600);
/// The largest file of a certificate, a key or a password, in bytes.
const MAX_SECRET: u64 = 1 << 20;

/// Holds what the client needs from files, read once at the start.
#[derive(Clone)]
pub struct Secrets {
    password: Option<Vec<u8>>,
    ca: Option<Vec<u8>>,
    /// The certificate of this client, and its key.
    identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl Secrets {
    /// Reads the files that a configuration names.
    ///
    /// # Errors
    /// [`Kind::Io`] if a file cannot be read, [`Kind::Usage`] if others may read a key or a password.
    pub fn read(config: &MqttConfig) -> Result<Self> {
        let plain = |path: &Path| hetmm::files::read_regular(path, MAX_SECRET, Kind::Usage);
        let secret = |path: &Path| {
            crate::secret::is_private(path)?;
            plain(path)
        };
        let password = config.password_file.as_deref().map(secret).transpose()?;
        // A line end at the end belongs to the file and not to the password.
        let password = password.map(|text| text.trim_ascii_end().to_vec());
        let ca = config.ca.as_deref().map(plain).transpose()?;
        let cert = config.cert.as_deref().map(plain).transpose()?;
        let key = config.key_file.as_deref().map(secret).transpose()?;
        Ok(Secrets { password, ca, identity: cert.zip(key) })
    }
}

/// Publishes what happens.
pub struct Client {
    config: MqttConfig,
    topics: Topics,
    secrets: Secrets,
    board: Arc<Board>,
    device: Device,
    queue: Queue,
    events: Receiver<Event>,
    /// The state that was published last, and when.
    told: Option<(Value, Instant)>,
    anchored_at: Option<Instant>,
}

/// A packet of the broker, or why the connection has ended.
type Packet = std::result::Result<Incoming, String>;

/// Holds one connection.
struct Connection {
    client: AsyncClient,
    is_up: bool,
}

impl Client {
    /// Makes the client of a configuration, if it names a broker.
    pub fn new(
        config: &LineConfig,
        secrets: Secrets,
        board: &Arc<Board>,
        device: Device,
    ) -> Option<Self> {
        config.mqtt.broker.as_ref()?;
        Some(Client {
            config: config.mqtt.clone(),
            topics: Topics::new(&config.device),
            secrets,
            board: board.clone(),
            device,
            queue: Queue::new(config.mqtt.queue),
            events: board.subscribe(),
            told: None,
            anchored_at: None,
        })
    }

    /// Publishes until the program ends. `stop` resolves when it is to end; the broker is then told.
    pub async fn run(mut self, mut stop: tokio::sync::watch::Receiver<bool>) {
        let mut failures = 0;
        let mut said = String::new();
        while !*stop.borrow() {
            let options = match self.options() {
                Ok(options) => options,
                Err(why) => return log::error!("MQTT: {why}"),
            };
            let (client, network) =
                AsyncClient::builder(options).capacity(usize::from(IN_FLIGHT)).build();
            let mut connection = Connection { client, is_up: false };
            let (sender, packets) = channel(usize::from(IN_FLIGHT));
            let driver = tokio::spawn(drive(network, sender));
            let why = self.connected(&mut connection, packets, &mut stop).await;
            driver.abort();
            failures = if connection.is_up { 0 } else { failures + 1 };
            if *stop.borrow() {
                return;
            }
            let pause = pause(failures);
            if why != said {
                log::warn!(
                    "MQTT: no connection: {why}; trying again, at the latest every {LONGEST_PAUSE_S} s"
                );
                said = why;
            }
            self.wait(pause, &mut stop).await;
        }
    }

    /// Serves one connection. Returns why it has ended.
    async fn connected(
        &mut self,
        connection: &mut Connection,
        mut packets: PacketReceiver<Packet>,
        stop: &mut tokio::sync::watch::Receiver<bool>,
    ) -> String {
        loop {
            tokio::select! {
                packet = packets.recv() => match packet {
                    Some(Ok(packet)) => self.incoming(connection, packet),
                    Some(Err(why)) => return why,
                    None => return "it has ended".into(),
                },
                event = self.events.recv() => self.event(event),
                _ = stop.changed() => return self.farewell(connection, packets).await,
            }
            if connection.is_up {
                self.send(&connection.client);
            }
        }
    }

    /// Tells the broker that this client ends, because a clean end does not publish the last will.
    async fn farewell(
        &mut self,
        connection: &mut Connection,
        mut packets: PacketReceiver<Packet>,
    ) -> String {
        if connection.is_up {
            let offline = self.topics.alive(false);
            let sent = connection.client.try_publish(
                &*offline.topic,
                offline.payload(),
                options(&offline),
            );
            let _ = sent.and_then(|()| connection.client.try_disconnect());
            // The driver ends when the connection is closed.
            let end = async { while packets.recv().await.is_some_and(|packet| packet.is_ok()) {} };
            let _ = tokio::time::timeout(Duration::from_secs(2), end).await;
        }
        "this program ends".into()
    }

    /// Waits, and goes on collecting what happens.
    async fn wait(&mut self, pause: Duration, stop: &mut tokio::sync::watch::Receiver<bool>) {
        let end = sleep(pause);
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => return,
                event = self.events.recv() => self.event(event),
                _ = stop.changed() => return,
            }
        }
    }

    fn event(&mut self, event: std::result::Result<Event, RecvError>) {
        match event {
            Ok(Event::Part(part)) => {
                let is_wanted = match self.config.parts {
                    PublishedParts::All => true,
                    PublishedParts::Rejected => part.outcome == Outcome::Rejected,
                    PublishedParts::None => false,
                };
                if is_wanted {
                    self.push(self.topics.part(&part, self.config.part_qos));
                }
            }
            Ok(Event::Status(_) | Event::Feed(_)) => self.state(),
            Ok(Event::Preview(_)) => {}
            Err(RecvError::Lagged(count)) => {
                self.queue.lose(count);
                self.board.mqtt_dropped.fetch_add(count, Ordering::Relaxed);
            }
            // The board lives as long as the program.
            Err(RecvError::Closed) => {}
        }
    }

    /// Publishes the state if it has changed, or if it was published long ago.
    fn state(&mut self) {
        let (now, board) = (Instant::now(), self.board.now());
        let status = self.topics.status(&board);
        let drift = self.topics.drift(&board);
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let unix_ms = u64::try_from(unix.as_millis()).unwrap_or(0);
        let is_old = |at: Option<Instant>, limit| at.is_none_or(|at| now - at >= limit);
        let anchor = is_old(self.anchored_at, ANCHOR_EVERY)
            .then(|| self.topics.evidence(&board, unix_ms))
            .flatten();
        drop(board);
        // Counters change with every part. They do not make a new state.
        let mut gist = status.content.clone();
        gist.as_object_mut().map(|fields| fields.remove("counters"));
        let is_new = self.told.as_ref().is_none_or(|(told, _)| *told != gist);
        if is_new || is_old(self.told.as_ref().map(|(_, at)| *at), STATUS_EVERY) {
            self.push(status);
            self.push(drift);
            self.told = Some((gist, now));
        }
        if let Some(anchor) = anchor {
            self.push(anchor);
            self.anchored_at = Some(now);
        }
    }

    fn push(&mut self, message: Message) {
        let dropped = self.queue.push(message);
        self.board.mqtt_waiting.store(self.queue.len(), Ordering::Relaxed);
        self.board.mqtt_dropped.fetch_add(dropped, Ordering::Relaxed);
    }

    /// Hands waiting messages to the client, as many as it takes.
    fn send(&mut self, client: &AsyncClient) {
        while let Some(message) = self.queue.next() {
            let sent = client.try_publish(&*message.topic, message.payload(), options(&message));
            if sent.is_err() {
                break;
            }
            self.queue.taken();
        }
        self.board.mqtt_waiting.store(self.queue.len(), Ordering::Relaxed);
    }

    fn incoming(&mut self, connection: &mut Connection, packet: Incoming) {
        match packet {
            Incoming::ConnAck(_) => {
                log::info!("MQTT: connected");
                connection.is_up = true;
                self.told = None;
                let alive = self.topics.alive(true);
                self.push(alive);
                self.state();
                if self.config.commands {
                    let filter = self.topics.of("cmd/#");
                    if let Err(why) = connection.client.try_subscribe(filter, QoS::AtLeastOnce) {
                        log::warn!("MQTT: commands cannot be received: {why}");
                    }
                }
            }
            Incoming::Publish(command) => self.command(connection, &command),
            _ => {}
        }
    }

    /// Carries out a command, and answers on its response topic.
    fn command(&self, connection: &Connection, command: &Publish) {
        // The broker repeats a retained command to everybody who comes. Nobody has asked for that now.
        if command.retain || !self.config.commands {
            return;
        }
        let topic = String::from_utf8_lossy(&command.topic).into_owned();
        let Some(verb) = self.topics.verb(&topic) else { return };
        let argument = String::from_utf8_lossy(&command.payload).trim().to_owned();
        let request = format!("{verb} {argument}").trim().to_owned();
        let is_encrypted = self.config.address().is_some_and(|broker| broker.is_encrypted);
        let (device, client) = (self.device.clone(), connection.client.clone());
        let properties = command.properties.clone().unwrap_or_default();
        tokio::spawn(async move {
            let said = if request.starts_with("teach") && !is_encrypted {
                Said::Refused("teach is accepted over TLS only".into())
            } else if !device.may(&request) {
                Said::Refused("this is no request that control.plant_may allows".into())
            } else {
                device.ask("MQTT", &request).await
            };
            let answer = match said {
                Said::Done(answer) => answer,
                Said::Refused(why) | Said::Silent(why) => json!({"error": why}),
            };
            let Some(topic) = properties.response_topic else { return };
            let properties = PublishProperties {
                correlation_data: properties.correlation_data,
                message_expiry_interval: Some(EXPIRY_S),
                ..PublishProperties::default()
            };
            let options = PublishOptions::new(QoS::AtLeastOnce).properties(properties);
            let sent = client.publish(topic, answer.to_string(), options).await;
            if let Err(why) = sent {
                log::warn!("MQTT: the answer to {request} cannot be sent: {why}");
            }
        });
    }

    fn options(&self) -> Result<MqttOptions> {
        let (config, secrets) = (&self.config, &self.secrets);
        let broker = config.address().ok_or_else(|| Error::usage("mqtt.broker is no address"))?;
        let id = self.topics.of("").trim_end_matches('/').replace('/', "-");
        let mut options = MqttOptions::new(id, (broker.host, broker.port));
        let offline = self.topics.alive(false);
        options
            .set_keep_alive(config.keep_alive_s)
            .set_clean_start(true)
            .set_incoming_packet_size_limit(IncomingPacketSizeLimit::Bytes(LARGEST))
            .set_outgoing_inflight_upper_limit(IN_FLIGHT)
            .set_last_will(LastWill::new(
                offline.topic.clone(),
                offline.payload(),
                QoS::AtLeastOnce,
                true,
                None,
            ));
        match (&config.user, &secrets.password) {
            (Some(user), Some(password)) => {
                options.set_credentials(user.clone(), password.clone());
            }
            (Some(user), None) => {
                options.set_username(user.clone());
            }
            _ => {}
        }
        if broker.is_encrypted {
            let tls = match &secrets.ca {
                Some(ca) => TlsConfiguration::Simple {
                    ca: ca.clone(),
                    alpn: None,
                    client_auth: secrets.identity.clone(),
                },
                None => TlsConfiguration::try_default_rustls().map_err(|why| {
                    Error::new(Kind::Io, format!("the system's certificates cannot be used: {why}"))
                        .advise("give mqtt.ca")
                })?,
            };
            options.set_transport(Transport::Tls(tls));
        }
        Ok(options)
    }
}

/// Moves packets between the client and the network until the connection ends. It has a task of its own: a connection that
/// is being made is given up if nobody waits for it.
async fn drive(mut network: EventLoop, packets: PacketSender<Packet>) {
    loop {
        let packet = match network.poll().await {
            Ok(rumqttc::Event::Incoming(packet)) => Ok(packet),
            Ok(_) => continue,
            Err(why) => Err(why.to_string()),
        };
        let is_over = packet.is_err();
        if packets.send(packet).await.is_err() || is_over {
            return;
        }
    }
}

fn options(message: &Message) -> PublishOptions {
    let qos = if message.at_least_once { QoS::AtLeastOnce } else { QoS::AtMostOnce };
    let expiry = (!message.is_retained).then_some(EXPIRY_S);
    let properties = PublishProperties { message_expiry_interval: expiry, ..Default::default() };
    PublishOptions::new(qos).retain(message.is_retained).properties(properties)
}

/// Returns the pause before the next try to connect: 1, 2, 4 up to 60 seconds, of which a random half is left out, so
/// that many devices do not come back together.
fn pause(failures: u32) -> Duration {
    let seconds = 1_u64.checked_shl(failures.saturating_sub(1)).unwrap_or(LONGEST_PAUSE_S);
    let longest = seconds.clamp(1, LONGEST_PAUSE_S) * 1000;
    let mut random = [0; 2];
    // Without random numbers the pause is the longest one.
    let share = getrandom::fill(&mut random).map_or(0, |()| u64::from(u16::from_ne_bytes(random)));
    Duration::from_millis(longest - longest * share / (2 * 65_536))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_minute() {
        for (failures, longest_s) in [(0, 1), (1, 1), (2, 2), (5, 16), (7, 60), (200, 60)] {
            let pause = pause(failures).as_millis() as u64;
            assert!(
                (longest_s * 500..=longest_s * 1000).contains(&pause),
                "{failures}: {pause} ms"
            );
        }
    }
}
