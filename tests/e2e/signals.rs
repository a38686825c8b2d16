//! SIGINT and SIGTERM.

use nix::sys::signal::Signal;

use crate::harness::Switch;

const QUIET: &str = r#"
[switch]
cores = [0]
hugepages = false
[ports.a]
device = "net_null0,no-rx=1"
rx_ring = 256
tx_ring = 256
[ports.b]
device = "net_null1,no-rx=1"
rx_ring = 256
tx_ring = 256
"#;

#[test]
fn either_signal_stops_in_order_with_the_closing_table() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut switch = Switch::start(QUIET);
        assert!(switch.runtime_dir().exists());
        switch.signal(signal);
        let closing = switch.closing();
        assert_eq!(closing.ports.keys().collect::<Vec<_>>(), ["a", "b"]);
    }
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut switch = Switch::start(QUIET);
    // Two different ones: the kernel would make one of two of the same kind.
    switch.signal(Signal::SIGINT);
    switch.signal(Signal::SIGTERM);
    let status = switch.await_exit();
    assert_eq!(status.code(), Some(1), "{status}");
    assert!(!switch.stdout.to_end().contains("accounting: "), "{}", switch.stdout.text());
}

/// From the first moment that the signals are handled on, whatever is being started is stopped again.
#[test]
fn a_signal_during_the_start_stops_when_ready() {
    let mut switch = Switch::launch(None, QUIET);
    // DPDK's folder appears in the midst of the start.
    crate::harness::wait("DPDK to start", || switch.runtime_dir().exists().then_some(()));
    switch.signal(Signal::SIGINT);
    switch.closing();
}
