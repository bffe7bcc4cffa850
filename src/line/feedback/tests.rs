use super::*;
use crate::line::config::LineConfig;

const CONFIG: &str = "[template]\nfile = \"-\"\n[trigger]\nsource = \"free-run\"\n[camera]\n\
    source = \"folder\"\nfolder = \"-\"\nframes_per_second = 1\n[reject]\ndelay_us = 1000\n\
    pulse_width_us = 1000\n[outputs]\nsimulate = true\n\
    ng = { line = 1, feedback = { line = 2 } }\n";

/// Tells of three pulses, has them watched to the end, and returns the messages to the hub.
fn messages_after_three_pulses(config: &str) -> Vec<Message> {
    let config = LineConfig::parse(config, "test").expect("reads");
    let (sender, messages) = sync_channel(16);
    let hub = Outbox::new(sender, Arc::default());
    let wired = config.outputs.feedback().expect("is wired");
    let limit = Duration::from_millis(1);
    let opened = Feedback::open(&wired, limit, hub, Reporter::default());
    let (feedback, teller) = opened.expect("opens");
    let traffic = feedback.traffic();
    for number in 1..=3 {
        let from = LineTime::now();
        assert!(teller.began(Pulse { number, from, at: LineTime::now() }));
    }
    drop(teller);
    feedback.run();
    let follows = wired.follows_simulated == Some(true);
    assert_eq!(traffic.count(), if follows { 3 } else { 0 });
    messages.try_iter().collect()
}

#[test]
fn a_valve_that_follows_is_no_fault() {
    assert!(messages_after_three_pulses(CONFIG).is_empty());
    let low = CONFIG.replace("line = 1,", "line = 1, active = \"low\",");
    let low = low.replace("line = 2 ", "line = 2, edge = \"falling\" ");
    assert!(messages_after_three_pulses(&low).is_empty());
}

#[test]
fn a_valve_that_does_not_follow_is_a_fault_of_the_outputs_and_told_once() {
    let wrong = CONFIG.replace("line = 2 ", "line = 2, edge = \"falling\" ");
    let messages = messages_after_three_pulses(&wrong);
    let [Message::Event(event)] = messages.as_slice() else {
        panic!("{} messages", messages.len())
    };
    assert_eq!(*event, Event::Condition { fault: Fault::Outputs, present: true });
}

#[test]
fn a_thread_that_is_gone_or_full_watches_nothing() {
    let config = LineConfig::parse(CONFIG, "test").expect("reads");
    let hub = Outbox::new(sync_channel(1).0, Arc::default());
    let wired = config.outputs.feedback().expect("is wired");
    let opened = Feedback::open(&wired, Duration::ZERO, hub, Reporter::default());
    let (feedback, teller) = opened.expect("opens");
    let at = LineTime::now();
    let told = (1..=300).filter(|number| teller.began(Pulse { number: *number, from: at, at }));
    assert_eq!(told.count(), QUEUE);
    drop(feedback);
    assert!(!teller.began(Pulse { number: 301, from: at, at }));
}
